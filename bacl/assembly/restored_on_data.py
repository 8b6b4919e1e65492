"""A trained model with the data that it is judged on: for job=test and job=cost."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from bacl.assembly.data import open_data
from bacl.assembly.rebuilt import Restored, rebuilt
from bacl.assembly.restored import described_model
from bacl.assembly.typed import naming_data
from bacl.checkpoints.handover import Categories, saved_categories
from bacl.messages.errors import OptionError
from bacl.options.marked import options_with
from bacl.options.marks import DESCRIBES_ALL


def restore_on_data(config: DictConfig, folder: Path, overrides: Sequence[str]) -> Restored:
    """Build and load what `checkpoint=…` holds, or the run's own last stage, and open its data.

    Model, heads, test transform and report are those of the checkpoint, but for what the command
    says of them; with an experiment they are the command's. The data are always the command's.

    Args:
        config: the composed configuration.
        folder: of the run.
        overrides: of the command.

    Raises:
        CheckpointError: the file is missing or damaged, or does not fit the model or the data.
        OptionError: an option that nothing takes, or no data for a checkpoint from elsewhere.
        MissingDataError: lists every file that is missing and where it comes from.
    """
    path, content, model = described_model(config, folder, overrides)
    if config.checkpoint and not any(names_data(text) for text in overrides):
        raise OptionError(
            f"checkpoint={path}: name the data to judge it on, as the paths in a file are not "
            f"followed: its +experiment=…, or {naming_data(content.get('config', {}))}"
        )
    model.data.num_classes = None  # counted in the file, and compared with the checkpoint's names
    table = open_data(model)
    categories = Categories.of(table)
    categories.check(saved_categories(content), path)
    return rebuilt(path, content, categories, model)


def names_data(override: str) -> bool:
    """Whether an override chooses data as a whole, rather than other files of the same."""
    key = override.lstrip("+~").partition("=")[0]
    return key in ("data", *options_with(DESCRIBES_ALL)) or (
        key.startswith("data.") and not key.startswith(("data.train.", "data.val."))
    )
