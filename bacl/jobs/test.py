"""job=test: evaluate a finished stage on the validation data, without training."""

import hashlib
from pathlib import Path

from omegaconf import DictConfig

from bacl.jobs.build import (
    build_data,
    build_stage,
    build_trainer,
    chosen_stages,
    open_data,
    prepare_process,
)
from bacl.jobs.evaluate import evaluate
from bacl.jobs.fit import categories_of, restore


def run(config: DictConfig, folder: Path) -> float:
    """Evaluate `checkpoint=…`, or the run's own last stage; returns the AP of its first head.

    Results go beside the checkpoint, to `test_<validation file>_<digest of its path>`.
    """
    prepare_process()
    table = open_data(config)
    name = chosen_stages(config)[-1]
    path = Path(config.checkpoint or folder / name / "final.ckpt")
    stage = build_stage(config, name, pretrained=False)
    restore(stage, path, categories_of(table))
    trainer = build_trainer(config, folder / name, stage.schedule, logs=False)
    trainer.datamodule = build_data(config, config.stages[name].augment)  # type: ignore[attr-defined]
    annotations = Path(config.data.val.annotations).resolve()
    digest = hashlib.sha256(str(annotations).encode()).hexdigest()[:8]
    own = path.parent / f"test_{annotations.stem}_{digest}"
    return next(iter(evaluate(config, own, stage, trainer).values()))["AP"]
