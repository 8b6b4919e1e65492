"""Stages of the tiny run, trained for a few steps by a real trainer."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hydra.utils import instantiate
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers.logger import DummyLogger
from omegaconf import DictConfig

from bacl.assembly.build import build_stage
from bacl.assembly.data import build_data, open_data
from bacl.assembly.trainer import MATMUL_PRECISION
from bacl.data.datamodule import DetectionDataModule
from bacl.stages import DetectionStage


@dataclass
class Bench:
    """A stage with its data and a trainer of one epoch."""

    stage: DetectionStage
    data: DetectionDataModule
    config: DictConfig

    def trainer(self, *callbacks: Callback) -> Trainer:
        """One epoch of four steps, without validation."""
        quiet = ("enable_progress_bar", "enable_checkpointing", "logger")
        options = dict.fromkeys(quiet, False) | {"max_epochs": 1, "num_sanity_val_steps": 0}
        never = {"check_val_every_n_epoch": 2}  # as of a run whose validation.every is null
        lightnings = {k: v for k, v in self.config.trainer.items() if k != MATMUL_PRECISION}
        return instantiate(lightnings, callbacks=list(callbacks), **never, **options)

    def measures(self, trainer: Trainer) -> dict[str, float]:
        """What a validation logs; without a logger it would log nothing."""
        trainer.loggers = [DummyLogger()]
        (found,) = trainer.validate(self.stage, datamodule=self.data, verbose=False)
        assert found
        return dict(found)

    def fit(self, *callbacks: Callback) -> DetectionStage:
        """Train; returns the stage."""
        self.trainer(*callbacks).fit(self.stage, datamodule=self.data)
        return self.stage


@pytest.fixture
def bench(tiny) -> Callable[..., Bench]:
    """Builds a stage of the tiny run with overrides."""

    def build(name: str, *overrides: str) -> Bench:
        full_rate = f"stages.{name}.schedule={{epochs:1,warmup_steps:1,warmup_factor:1.0}}"
        config = tiny(full_rate, *overrides)
        open_data(config)
        data = build_data(config, config.stages[name])
        return Bench(build_stage(config, name, pretrained=False), data, config)

    return build


@pytest.fixture
def snapshot() -> Callable[[torch.nn.Module], dict]:
    """A copy of a module's whole state, generators of hallucination included."""

    def copied(module: torch.nn.Module) -> dict:
        state = module.state_dict()
        return {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in state.items()}

    return copied
