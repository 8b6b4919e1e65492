"""What a stage starts from: an earlier stage of the run, a finished checkpoint, or nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig, OmegaConf

from bacl.assembly.build import chosen_stages
from bacl.checkpoints.handover import (
    Categories,
    CheckpointError,
    State,
    load_stage,
    saved_categories,
)
from bacl.checkpoints.taken_over import inherit
from bacl.heads import Head
from bacl.messages.errors import OptionError
from bacl.options.composed import plain
from bacl.options.ranges import ClassifierInit
from bacl.runs.continued import misfit, saved
from bacl.runs.prototypes import FromPrototypes
from bacl.runs.trained_start import TrainedStart
from bacl.stages import DetectionStage


@dataclass(frozen=True)
class Start:
    """`init` of a stage."""

    stage: str
    """Name of the stage."""
    path: Path | None
    """The finished stage that the detector starts from; None for the backbone's own weights."""
    earlier: str | None
    """That stage's name, where it is one of the same command."""
    classifier: ClassifierInit
    """Of heads that do not say otherwise."""
    weights: str | None
    """Of the backbone, where there is no such stage."""
    over: bool = False
    """Whether the stage is finished, or goes on from where it was interrupted."""
    detector: Mapping[str, Any] = field(default_factory=dict)
    """Options of the detector, plain values."""

    @classmethod
    def of(cls, config: DictConfig, folder: Path, name: str) -> "Start":
        """That of a stage of a run in this folder.

        Raises:
            OptionError: it would start from itself, or from a later stage.
        """
        init, known = config.stages[name].init, list(config.stages)
        source = init.detector
        own = source is not None and source in known
        if own and known.index(source) >= known.index(name):
            earlier = " or ".join(known[: known.index(name)]) or "null"
            raise OptionError(
                f"stages.{name}.init.detector={source}: is no earlier stage of the pipeline; take "
                f"{earlier}, or the final.ckpt of another run"
            )
        path = folder / source / "final.ckpt" if own else source and Path(source)
        saved = (folder / name / file for file in ("last.ckpt", "final.ckpt"))
        together = own and source in chosen_stages(config)
        over = any(file.exists() for file in saved)
        weights, detector = OmegaConf.select(config, "detector.backbone.weights"), config.detector
        before = source if together else None
        return cls(name, path, before, init.classifier, weights, over, plain(detector))

    def take(self, stage: DetectionStage, categories: Categories, folder: Path) -> None:
        """Fill a new stage with what it starts from, if anything.

        Args:
            stage: is new.
            categories: of the data.
            folder: of the stage, where it is told what became of a trained detector.
        """
        if trained := self.trained(stage):
            trained.take(stage, categories, folder)
        if self.path is not None:
            content = load_stage(self.path)
            categories.check(saved_categories(content), self.path)
            others = self.starting(stage, "prototypes").items()
            able = {name: head for name, head in others if _can_inherit(head, content)}
            inherit(stage.detector, self.inheriting(stage) | able, content, self.path)

    def trained(self, stage: DetectionStage) -> TrainedStart | None:
        """The trained detector of other categories that a stage starts from, if it has no other."""
        named = stage.detector.init_from if self.path is None else None
        if named is None:
            return None
        return TrainedStart(self.stage, named, stage.detector.init_names, self.detector)

    def before_first_step(self, stage: DetectionStage) -> list[Callback]:
        """What has yet to happen to the stage once its processes are there."""
        heads = self.starting(stage, "prototypes")
        return [FromPrototypes(list(heads))] if heads else []

    def inheriting(self, stage: DetectionStage) -> dict[str, Head]:
        """The heads that have to continue an earlier classifier.

        One that starts from prototypes has to where a part of it does not train: a bias, for one,
        would stay as drawn.
        """
        imprinted = self.starting(stage, "prototypes").items()
        needy = {name: head for name, head in imprinted if head.needs_start}
        return self.starting(stage, "inherit") | needy

    def starting(self, stage: DetectionStage, init: ClassifierInit) -> dict[str, Head]:
        """The heads whose classifiers start so."""
        heads = stage.live_heads.items()
        return {name: head for name, head in heads if (head.init or self.classifier) == init}

    def source(self) -> State | None:
        """Content of the file that the stage has yet to start from, if it is there before the run.

        Raises:
            CheckpointError: it is missing or damaged.
        """
        if self.path is None or self.earlier is not None or self.over:
            return None
        try:
            return load_stage(self.path)
        except CheckpointError as error:
            raise CheckpointError(f"stages.{self.stage}.init.detector: {error}") from error


def _can_inherit(head: Head, content: State) -> bool:
    return len(content["heads"]) == 1 and not misfit(head, saved(head, content), "")
