"""Stages of the tiny run, trained for a few steps by a real trainer."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from lightning.pytorch import Callback, Trainer

from bacl.data.datamodule import DetectionDataModule
from bacl.jobs.build import build_data, build_stage, open_data
from bacl.stages import DetectionStage


@dataclass
class Bench:
    """A stage with its data and a trainer of one epoch."""

    stage: DetectionStage
    data: DetectionDataModule
    options: dict

    def trainer(self, *callbacks: Callback) -> Trainer:
        """One epoch of four steps, without validation."""
        quiet = ("enable_progress_bar", "enable_model_summary", "enable_checkpointing", "logger")
        return Trainer(
            **{"max_epochs": 1, "accelerator": "cpu", "callbacks": list(callbacks)},
            **{"num_sanity_val_steps": 0, "check_val_every_n_epoch": 1000},
            **dict.fromkeys(quiet, False),
            **self.options,
        )

    def fit(self, *callbacks: Callback) -> DetectionStage:
        """Train; returns the stage."""
        self.trainer(*callbacks).fit(self.stage, datamodule=self.data)
        return self.stage


@pytest.fixture
def bench(tiny) -> Callable[..., Bench]:
    """Builds a stage of the tiny run with overrides; `options` are the trainer's."""

    def build(name: str, *overrides: str, **options) -> Bench:
        full_rate = f"stages.{name}.schedule={{epochs:1,warmup_steps:1,warmup_factor:1.0}}"
        config = tiny(full_rate, *overrides)
        open_data(config)
        data = build_data(config, config.stages[name].augment)
        return Bench(build_stage(config, name), data, options)

    return build


@pytest.fixture
def snapshot() -> Callable[[torch.nn.Module], dict]:
    """A copy of a module's whole state, generators of hallucination included."""

    def copied(module: torch.nn.Module) -> dict:
        state = module.state_dict()
        return {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in state.items()}

    return copied
