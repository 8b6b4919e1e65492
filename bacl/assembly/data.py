"""From a configuration to its data, and what they decide of it."""

from pathlib import Path

from omegaconf import DictConfig, open_dict

from bacl.assembly.instantiate import instantiate
from bacl.data.annotations.table import AnnotationTable
from bacl.data.augmentation.transforms import Augmentation
from bacl.data.datamodule import DetectionDataModule
from bacl.data.missing_files import MissingDataError, incomplete, require_files
from bacl.data.split_messages import listed_names
from bacl.messages.errors import OptionError
from bacl.options.composed import plain


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
