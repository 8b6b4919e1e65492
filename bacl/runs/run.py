"""A stage of a run as a value: what trains it, on what, and where its files lie."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from lightning.pytorch import Trainer

from bacl.assembly.data import build_data
from bacl.assembly.rebuilt import Restored
from bacl.assembly.trainer import build_trainer
from bacl.checkpoints.handover import Categories
from bacl.data.datamodule import DetectionDataModule
from bacl.stages import DetectionStage


@dataclass(frozen=True)
class Run:
    """One stage, ready to train or to be evaluated."""

    stage: DetectionStage
    data: DetectionDataModule
    trainer: Trainer
    categories: Categories
    """Of the training file."""
    folder: Path
    """Of the stage."""

    @classmethod
    def of(cls, restored: Restored) -> Self:
        """That of a finished stage, to be evaluated on the data of its configuration."""
        config, stage, folder = restored.config, restored.stage, restored.path.parent
        trainer = build_trainer(config, folder, stage.schedule, logs=False)
        data = build_data(config, config.stages[restored.name])
        return cls(stage, data, trainer, restored.categories, folder)

    @property
    def interrupted(self) -> Path:
        """The checkpoint that an interrupted training goes on from."""
        return self.folder / "last.ckpt"

    @property
    def final(self) -> Path:
        """The checkpoint of the finished stage."""
        return self.folder / "final.ckpt"

    def fit(self, **options: Any) -> None:
        """Train, as Lightning's `fit` with its options."""
        self.trainer.fit(self.stage, datamodule=self.data, **options)

    def validate(self) -> None:
        """Let the stage's metrics judge the validation images."""
        self.trainer.validate(self.stage, datamodule=self.data, verbose=False)
