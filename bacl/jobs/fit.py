"""job=fit: the stages of the configuration in order, then the evaluation of the last."""

import time
from pathlib import Path

from omegaconf import DictConfig

from bacl.options.composed import last_stage
from bacl.runs.evaluated import evaluate
from bacl.runs.folder import exclusive
from bacl.runs.outcome import write_done
from bacl.runs.training import train_stages


def run(config: DictConfig, folder: Path) -> float:
    """Train what is not finished, evaluate, report; returns AP of the last stage's first head."""
    began = time.monotonic()
    with exclusive(folder):
        stage, trainer = train_stages(config, folder)
        last = last_stage(config)
        results = evaluate(config, folder / last, stage, trainer)
        if trainer.is_global_zero:
            write_done(folder, last, results, time.monotonic() - began)
    return next(iter(results.values()))["AP"]
