"""A trained model from what its final.ckpt holds: its own configuration, weights and categories."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bacl.assembly.bounded import require_fitting
from bacl.assembly.build import build_stage, with_calibration
from bacl.assembly.harmless import unknown_counts
from bacl.assembly.held_thresholds import held_thresholds
from bacl.assembly.instantiate import instantiate
from bacl.assembly.stored import taken
from bacl.checkpoints.handover import (
    Categories,
    CheckpointError,
    State,
    load_stage,
    saved_categories,
)
from bacl.checkpoints.score_thresholds import ScoreThresholds
from bacl.checkpoints.taken_over import fill
from bacl.data.augmentation.transforms import Augmentation
from bacl.data.images.orientation import UPRIGHT
from bacl.data.images.picture_file import MAX_PIXELS, Reading
from bacl.data.statistics import CategoryStatistics
from bacl.heads import Calibration, classifiers_by_name
from bacl.messages.errors import OptionError, UserError, in_one_line
from bacl.options.comparison import wrong_options
from bacl.options.composed import plain
from bacl.options.model_sections import StoredModel
from bacl.stages import DetectionStage

MISFITS = (
    *(AttributeError, LookupError, TypeError, ValueError, ArithmeticError, RuntimeError),
    *(AssertionError, MemoryError, OmegaConfBaseException),
)
"""What the parts of a model raise where they are given what is no option of theirs."""


@dataclass(frozen=True)
class Restored:
    """A finished stage in eval mode."""

    path: Path
    name: str
    """Of the stage."""
    stage: DetectionStage
    categories: Categories
    config: DictConfig
    """What it was built from."""
    statistics: Sequence[CategoryStatistics | None] = ()
    """Of the training file, as the checkpoint holds them and as the data say that it is judged on.
    """
    thresholds: Mapping[str, ScoreThresholds] = field(default_factory=dict)
    """By head, as the checkpoint holds them, of heads whose scores are calibrated as then."""

    def calibration(self, head: DictConfig, config: DictConfig) -> Calibration | None:
        """What calibrates a head's scores by a configuration other than its own, if anything does.

        Args:
            head: options of the head.
            config: of the model, for what all heads have.
        """
        options = with_calibration(plain(head), plain(config).get("calibration"))
        if options["calibration"] is None:
            return None
        made = instantiate(OmegaConf.create(options["calibration"]), Calibration)
        give_statistics(made, self.statistics, self.path)
        return made.eval()

    @cached_property
    def augmentation(self) -> Augmentation:
        """What happens to the stage's pictures, in training and in its evaluation."""
        return instantiate(self.config.stages[self.name].augment, Augmentation)

    @property
    def reading(self) -> Reading:
        """How its pictures are read; a checkpoint may be older than the options."""
        options = self.config.get("datamodule", {})
        return Reading(options.get("orientation", UPRIGHT), options.get("max_pixels", MAX_PIXELS))

    def only_head(self, head: str | None, option: str) -> str:
        """The head that `option` names, or the only one.

        Raises:
            OptionError: there is no such head, or there are several to choose from.
        """
        heads = list(self.stage.heads)
        if head is None and len(heads) > 1:
            raise OptionError(f"{option}: name one of the checkpoint's heads, {', '.join(heads)}")
        return heads[0] if head is None else self.known_head(head, option)

    def known_head(self, head: str, option: str) -> str:
        """The head that `option` names.

        Raises:
            OptionError: there is no such head.
        """
        if head not in self.stage.heads:
            heads = ", ".join(self.stage.heads)
            raise OptionError(f"{option}={head}: {self.path} has no such head; it has {heads}")
        return head


def restore_alone(path: Path) -> Restored:
    """Build and load what a checkpoint holds, by its own configuration and nothing else.

    Raises:
        CheckpointError: the file is missing or damaged, or no model can be built as it says.
        StoredConfigurationError: its configuration names what a file may not name.
    """
    content = load_stage(path)
    categories = saved_categories(content)
    labels = [str(label) for label in range(len(categories.ids))]
    stored = taken(content["config"], path, (), unknown_counts(labels), len(labels))
    config = OmegaConf.create({"data": {"num_classes": len(labels)}, "stage": None, "masks": False})
    for node, value in stored.items():
        OmegaConf.update(config, node, value, merge=False, force_add=True)
    with telling_misfits(path):
        wrong = wrong_options(config, section=StoredModel)
    if wrong:
        raise CheckpointError(f"{path}: {'; '.join(wrong)}")
    return rebuilt(path, content, categories, config)


def rebuilt(path: Path, content: State, categories: Categories, config: DictConfig) -> Restored:
    """The stage that a checkpoint's content is of, built from a configuration and filled.

    Raises:
        CheckpointError: the content does not fit the configuration, or nothing can be built of it.
    """
    with telling_misfits(path):
        name = stage_of(config, content, path)
        build = partial(build_stage, config, name, pretrained=False)
        require_fitting(build, {key: content[key] for key in ("detector", "heads")}, path)
        stage = build()
    fill(stage.detector, dict(stage.heads.items()), content, path)
    known = [saved_categories(content).training, categories.training]
    for classifier in classifiers_by_name(stage.live_heads).values():
        give_statistics(classifier.calibration, known, path)
    return Restored(
        path, name, stage.eval(), categories, config, known, held_thresholds(content, config, name)
    )


def give_statistics(
    calibration: Calibration, known: Sequence[CategoryStatistics | None], path: Path
) -> None:
    """Let a calibration go by the statistics that the classifier was trained with.

    Args:
        calibration: was built with any.
        known: the first that have all that it reads are taken.
        path: of the checkpoint.

    Raises:
        CheckpointError: none of them has it.
    """
    reads = calibration.reads
    for statistics in known:
        if statistics and all(getattr(statistics, name) is not None for name in reads):
            return calibration.take(statistics)
    if reads:
        raise CheckpointError(
            f"{path}: was written by an earlier version, without {' and '.join(reads)} of its "
            f"training data, which {type(calibration).__name__} reads; job=test reads them of the "
            "training file"
        )


@contextmanager
def telling_misfits(path: Path) -> Iterator[None]:
    """What a model's parts raise inside the block is told with the checkpoint's name."""
    try:
        yield
    except UserError:
        raise
    except MISFITS as error:
        reason = f"{type(error).__name__}: {in_one_line(error)}"
        raise CheckpointError(f"{path}: no model can be built as described ({reason})") from error


def stage_of(config: DictConfig, content: State, path: Path) -> str:
    """The stage that the checkpoint is of: all its heads are in the file."""
    heads = {name: set(node.heads) for name, node in config.stages.items()}
    fitting = [name for name, of_stage in heads.items() if of_stage <= set(content["heads"])]
    wanted = [config.stage] if config.stage is not None else fitting[-1:]
    if not set(wanted) & set(fitting):
        known = "; ".join(f"{name}: {', '.join(of_stage)}" for name, of_stage in heads.items())
        raise CheckpointError(
            f"{path}: its heads are {', '.join(content['heads'])}, which are not those of "
            f"{'a stage' if config.stage is None else f'stage={config.stage}'} ({known}); give the "
            "experiment that the checkpoint was trained with, or none: it brings its model"
        )
    return wanted[0]
