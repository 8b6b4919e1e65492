"""A trained model with the data that it is judged on: for job=test and job=cost."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from bacl.checkpoints.handover import Categories, saved_categories
from bacl.jobs.build import open_data
from bacl.jobs.check import check_arguments
from bacl.jobs.configuration import plain
from bacl.jobs.restored import Restored, described_model, rebuilt


def restore_on_data(config: DictConfig, folder: Path, overrides: Sequence[str]) -> Restored:
    """Build and load what `checkpoint=…` holds, or the run's own last stage, and open its data.

    Model, heads, data, test transform and report are those of the checkpoint, but for what the
    command says of them; with an experiment they are the command's.

    Args:
        config: the composed configuration.
        folder: of the run.
        overrides: of the command.

    Raises:
        CheckpointError: the file is missing or damaged, or does not fit the model or the data.
        UserError: an option that nothing takes.
        MissingDataError: lists every file that is missing and where it comes from.
    """
    path, content, model = described_model(config, folder, overrides)
    for node in ("trainer", "logger", "checkpoint_every_minutes"):
        model[node] = config[node]
    if any(places_data(text) for text in overrides):
        model.data = plain(config.data)
    model.data.num_classes = None  # counted in the file, and compared with the checkpoint's names
    check_arguments(model)
    table = open_data(model)
    categories = Categories.of(table)
    categories.check(saved_categories(content), path)
    return rebuilt(path, content, categories, model)


def places_data(override: str) -> bool:
    """Whether an override chooses data as a whole: what it implies for their files is to follow."""
    key = override.lstrip("+~").partition("=")[0]
    return key == "data" or (
        key.startswith("data.") and not key.startswith(("data.train.", "data.val."))
    )
