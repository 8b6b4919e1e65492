"""From a composed configuration to objects: the one place that calls Hydra's `instantiate`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate as hydra_instantiate
from lightning.fabric import Fabric
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, Node, OmegaConf, open_dict

from bacl.assembly.refusals import naming_refused
from bacl.callbacks.classifier_recorder import ClassifierRecorder
from bacl.callbacks.console import ProgressBar
from bacl.callbacks.finite_loss import FiniteLoss
from bacl.callbacks.last_checkpoint import LastCheckpoint
from bacl.callbacks.lightning_messages import tidy_messages
from bacl.callbacks.step_timer import StepTimer
from bacl.callbacks.termination import Termination, watch_processes
from bacl.checkpoints.whole_files import WholeFiles
from bacl.data.annotations.table import AnnotationTable
from bacl.data.augmentation.transforms import Augmentation
from bacl.data.datamodule import DetectionDataModule
from bacl.data.missing_files import MissingDataError, incomplete, require_files
from bacl.data.split_messages import listed_names
from bacl.detectors.region_detector import RegionDetector
from bacl.heads import Classifier, Head
from bacl.loggers.csv_logger import CSVLogger
from bacl.loggers.spared_logger import SparedLogger
from bacl.messages.errors import OptionError, UserError, in_one_line
from bacl.options.composed import plain
from bacl.processes.agreement import Agreement
from bacl.stages import DetectionStage, Schedule

Built = TypeVar("Built")
SEEDS_APART = 1_000_003
"""Between the seeds of a head's classifiers, in a detector of several levels."""


def instantiate(node: Any, kind: type[Built] | None = None, **options: Any) -> Built:
    """The object that a node of the configuration describes, given plain lists and dicts.

    Args:
        node: of the configuration.
        kind: what the object must be one of, where it is not None.
        options: handed to its class as they are; Hydra would make a configuration of them.

    Raises:
        UserError: the class refuses its options, in its own words where it knows the mend; or the
            node names nothing that can be built, or another kind of object.
    """
    where = node._get_full_key(None) if isinstance(node, Node) else type(node).__name__
    try:
        built = _called(node, options)
    except UserError:
        raise
    except Exception as error:  # of any class that a configuration may name
        raise OptionError(f"{where}: {type(error).__name__}: {in_one_line(error)}") from error
    if kind is not None and not isinstance(built, kind):
        raise OptionError(f"{where}: builds a {type(built).__name__}, expected a {kind.__name__}")
    return built


def _called(node: Any, options: Mapping[str, Any]) -> Any:
    try:
        if not options:
            return hydra_instantiate(node, _convert_="all")
        return hydra_instantiate(node, _convert_="all", _partial_=True)(**options)
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        raise OptionError(in_one_line(error)) from error


def prepare_process() -> None:
    """Settings of the whole process, before anything speaks or computes."""
    tidy_messages()
    watch_processes()
    torch.set_flush_denormal(True)  # denormal numbers make CPU convolutions several times slower


def open_data(config: DictConfig) -> AnnotationTable:
    """Make or check the data, and fill in what the training annotations decide: the categories.

    Also notes in `data.content` what a resumed run must find again.

    Raises:
        MissingDataError: lists every file that is missing and where it comes from.
        OptionError: the configuration asks for another number than the file has.
    """
    _generate(config)
    paths = plain(config.data)
    left_out = listed_names(config.datamodule.leave_out)
    require_files(paths["train"], paths["val"], paths["root"], paths["name"], left_out)
    return _open_categories(config)


def open_categories(config: DictConfig) -> AnnotationTable:
    """As `open_data`, for what needs the training annotations but no images."""
    _generate(config)
    annotations = Path(config.data.train.annotations)
    if not annotations.is_file():
        lines = [f"data.train.annotations: no file {annotations}"]
        raise MissingDataError(incomplete(lines, config.data.root, config.data.name))
    return _open_categories(config)


def _generate(config: DictConfig) -> None:
    if "builder" in config.data:
        instantiate(config.data.builder)()


def _open_categories(config: DictConfig) -> AnnotationTable:
    table = AnnotationTable.open(config.data.train.annotations)
    asked = config.data.num_classes
    if asked is not None and asked != table.num_categories:
        raise OptionError(
            f"data.num_classes={asked}, but {config.data.train.annotations} has "
            f"{table.num_categories} categories; leave it null to take the file's"
        )
    with open_dict(config):
        config.data.num_classes = table.num_categories
        # What a resumed run must find again, wherever it lies by then.
        config.data.content = table.folder.name  # it carries the digest of the file
    return table


def build_stage(config: DictConfig, name: str, pretrained: bool) -> DetectionStage:
    """One stage with a detector and heads of its own, freshly initialised from the seed.

    `pretrained=False` leaves out the backbone's weights, for a stage that a checkpoint fills.
    """
    detector, heads = build_parts(config, name, pretrained)
    for option in ("masks", "metric.masks"):
        if OmegaConf.select(config, option) and detector.mask is None:
            raise OptionError(
                f"{option}=true: the detector has no mask branch; choose detector=mask_…"
            )
    node = config.stages[name]
    return instantiate(
        node.module,
        DetectionStage,
        detector=detector,
        heads=heads,
        schedule=instantiate(node.schedule, Schedule),
        metric=instantiate(config.metric),
        seed=config.seed,
    )


def build_parts(
    config: DictConfig, name: str, pretrained: bool
) -> tuple[RegionDetector, dict[str, Head]]:
    """The detector and the heads of a stage before the stage freezes anything.

    Raises:
        OptionError: a part refuses its options; that of a head begins with the head's path.
    """
    detector_node = config.detector.copy()
    if not pretrained:
        detector_node.backbone.weights = None
    torch.manual_seed(config.seed)
    detector = instantiate(detector_node, RegionDetector)
    calibration = plain(config).get("calibration")
    heads = {}
    for head, node in config.stages[name].heads.items():
        options = with_calibration(plain(node), calibration)
        try:
            heads[head] = build_head(options, detector.level_weights)
        except OptionError as error:
            raise OptionError(f"stages.{name}.heads.{head}: {error}") from error
    return detector, heads


def with_calibration(head: dict[str, Any], calibration: Any) -> dict[str, Any]:
    """A head's options, with the calibration of all heads where it has none of its own."""
    return head | {"calibration": head.get("calibration") or calibration}


def build_head(options: dict[str, Any], level_weights: Mapping[str, float]) -> Head:
    """A head of equal classifiers, one for each level of a detector."""
    levels = enumerate(level_weights)
    return Head({name: build_classifier(options, n) for n, name in levels}, level_weights)


def build_classifier(options: dict[str, Any], number: int) -> Classifier:
    """The classifier of a detector's level `number`; no two levels draw alike."""
    return instantiate(_with_own_seeds(options, number), Classifier)


def _with_own_seeds(node: Any, number: int) -> Any:
    if isinstance(node, list):
        return [_with_own_seeds(value, number) for value in node]
    if not isinstance(node, dict):
        return node
    own = {key: _with_own_seeds(value, number) for key, value in node.items()}
    return own | {"seed": own["seed"] + number * SEEDS_APART} if "seed" in own else own


def build_data(config: DictConfig, stage: DictConfig) -> DetectionDataModule:
    """The data module with one stage's augmentation and sampler."""
    paths = plain(config.data)
    return instantiate(
        config.datamodule,
        DetectionDataModule,
        train=paths["train"],
        val=paths["val"],
        augment=instantiate(stage.augment, Augmentation),
        sampler=instantiate(stage.sampler),
    )


def build_trainer(config: DictConfig, folder: Path, schedule: Schedule, logs: bool) -> Trainer:
    """A trainer that logs (if `logs`) and checkpoints into the stage's folder."""
    loggers = build_loggers(config, folder) if logs else []
    return _trainer(
        config,
        max_epochs=schedule.epochs,
        default_root_dir=str(folder),
        logger=loggers,
        callbacks=callbacks(
            folder, config.checkpoint_every_minutes, config.trainer.enable_progress_bar
        ),
        plugins=[WholeFiles()],
    )


def single_device_trainer(config: DictConfig) -> Trainer:
    """A trainer on one device that neither logs nor saves, asked for its device and precision."""
    alone = {"devices": 1, "num_nodes": 1, "strategy": "auto"}
    return _trainer(config, **alone, logger=False, enable_checkpointing=False)


def build_fabric(config: DictConfig) -> Fabric:
    """Device and precision of the trainer, for what has no training loop.

    Raises:
        OptionError: Lightning refuses an option, which is named with what it says.
    """
    options = {key: config.trainer[key] for key in ("accelerator", "precision")}
    with naming_refused(options):
        return Fabric(**options, devices=1)


def _trainer(config: DictConfig, **options: Any) -> Trainer:
    """The configuration's trainer.

    Raises:
        OptionError: Lightning refuses an option, which is named with what it says.
    """
    own = {key: value for key, value in plain(config.trainer).items() if key not in options}
    with naming_refused(own):
        return _called(config.trainer, options)


def build_loggers(config: DictConfig, folder: Path) -> list[Logger]:
    """The loggers of the configuration, writing into a stage's folder.

    Only the run's own csv may end the run: its rows are part of what an interrupted one goes on
    from.
    """
    nodes = config.logger.values()
    made = [instantiate(node, Logger, save_dir=str(folder)) for node in nodes]
    return [logger if isinstance(logger, CSVLogger) else SparedLogger(logger) for logger in made]


def callbacks(folder: Path, checkpoint_every_minutes: float, progress_bar: bool) -> list[Callback]:
    """What watches a stage."""
    agreement = Agreement(checkpoint_every_minutes)
    last = LastCheckpoint(folder, agreement)
    bar = [ProgressBar()] if progress_bar else []
    watch = FiniteLoss(agreement)
    return [last, watch, ClassifierRecorder(), StepTimer(), Termination(agreement), *bar]


def chosen_stages(config: DictConfig) -> list[str]:
    """Names of the stages to run: all of the pipeline, or the one that `stage` names."""
    return [config.stage] if config.stage is not None else list(config.stages)


def only_head(stage: DetectionStage, name: str) -> str:
    """Name of a stage's head, for what takes one.

    Raises:
        OptionError: the stage has several.
    """
    if len(stage.heads) != 1:
        heads = ", ".join(stage.heads)
        raise OptionError(
            f"stages.{name}.heads: {heads}, where one is needed; choose another stage=…, or leave "
            f"one out, as in '~head@stages.{name}.heads.NAME'"
        )
    return next(iter(stage.heads))
