"""job=test: evaluate a finished stage on the validation data, without training."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from bacl.assembly.build import build_data, build_trainer, prepare_process
from bacl.assembly.restored import command_overrides
from bacl.assembly.restored_on_data import restore_on_data
from bacl.runs.evaluated import evaluate
from bacl.runs.naming import variant


def run(config: DictConfig, folder: Path) -> float:
    """Evaluate `checkpoint=…`, or the run's own last stage; returns the AP of its first head.

    Model, heads, data and test transform are those of the checkpoint, but for what the command says
    of them; with an experiment they are the command's.

    Results go beside the checkpoint, to `test_<validation file>_<digest of path and overrides>`.
    """
    prepare_process()
    overrides = command_overrides()
    restored = restore_on_data(config, folder, overrides)
    model, stage, beside = restored.config, restored.stage, restored.path.parent
    trainer = build_trainer(model, beside, stage.schedule, logs=False)
    trainer.datamodule = build_data(model, model.stages[restored.name])  # type: ignore[attr-defined]
    own = beside / results_folder(Path(model.data.val.annotations), overrides)
    return next(iter(evaluate(model, own, stage, trainer).values()))["AP"]


def results_folder(annotations: Path, overrides: Sequence[str]) -> str:
    """A name for the results on these annotations, with these options."""
    told = f"{annotations.resolve()}{variant(overrides)}"
    return f"test_{annotations.stem}_{hashlib.sha256(told.encode()).hexdigest()[:8]}"
