"""job=test: evaluate a finished stage on the validation data, without training."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from bacl.jobs.build import build_data, build_stage, build_trainer, open_data, prepare_process
from bacl.jobs.configuration import plain
from bacl.jobs.evaluate import evaluate
from bacl.jobs.fit import categories_of, restore
from bacl.jobs.naming import variant
from bacl.jobs.restored import command_overrides, described_model, stage_of


def run(config: DictConfig, folder: Path) -> float:
    """Evaluate `checkpoint=…`, or the run's own last stage; returns the AP of its first head.

    Model, heads, data and test transform are those of the checkpoint, but for what the command says
    of them; with an experiment they are the command's.

    Results go beside the checkpoint, to `test_<validation file>_<digest of path and overrides>`.
    """
    prepare_process()
    overrides = command_overrides()
    path, content, model = described_model(config, folder, overrides)
    for node in ("report", "trainer", "logger", "datamodule", "checkpoint_every_minutes"):
        model[node] = config[node]
    if any(places_data(text) for text in overrides):
        model.data = plain(config.data)
    model.data.num_classes = None  # counted in the file, and compared with the checkpoint's names
    table = open_data(model)
    name = stage_of(model, content, path)
    stage = build_stage(model, name, pretrained=False)
    restore(stage, path, categories_of(table))
    trainer = build_trainer(model, folder / name, stage.schedule, logs=False)
    trainer.datamodule = build_data(model, model.stages[name].augment)  # type: ignore[attr-defined]
    own = path.parent / results_folder(Path(model.data.val.annotations), overrides)
    return next(iter(evaluate(model, own, stage, trainer).values()))["AP"]


def places_data(override: str) -> bool:
    """Whether an override chooses data as a whole: what it implies for their files is to follow."""
    key = override.lstrip("+~").partition("=")[0]
    return key == "data" or (
        key.startswith("data.") and not key.startswith(("data.train.", "data.val."))
    )


def results_folder(annotations: Path, overrides: Sequence[str]) -> str:
    """A name for the results on these annotations, with these options."""
    told = f"{annotations.resolve()}{variant(overrides)}"
    return f"test_{annotations.stem}_{hashlib.sha256(told.encode()).hexdigest()[:8]}"
