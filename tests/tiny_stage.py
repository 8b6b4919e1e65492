"""A stage of one linear layer per head, on random features: all that the callbacks look at."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader

from bacl.data.batch import Batch, Target
from bacl.data.statistics import CategoryStatistics
from bacl.evaluation.groups import Grouping
from bacl.evaluation.lvis_ap import groups_by_frequency
from bacl.heads import Classifier, FeatureHallucination
from bacl.heads.failures import Failures
from bacl.indicators import ConfusionMatrix
from bacl.loggers.measurements import Quantity, named
from bacl.losses.bce import BinaryCrossEntropy
from bacl.losses.fcbl import FCBL
from tests.levels import single, training_level

C, D = 4, 6
BOX = Quantity("train", None, "box")


def target(image_id: int) -> Target:
    nothing = torch.empty(0, dtype=torch.int64)
    box = torch.tensor([[1.0, 2.0, 9.0, 8.0]])
    return Target(image_id, box, torch.tensor([1]), (16, 16), (32, 32), (32, 32), nothing, nothing)


class TinyData(LightningDataModule):
    statistics = CategoryStatistics(
        names=["cup", "lamp", "kiwi", "emu"],
        frequency=np.array(["f", "c", "r", "r"]),
        image_counts=torch.tensor([200, 50, 8, 2]),
        instance_counts=torch.tensor([900, 70, 9, 2]),
        num_images=220,
    )

    def __init__(self, batches: int = 4):
        super().__init__()
        self.batches = batches

    def train_dataloader(self):
        return DataLoader(range(2 * self.batches), batch_size=2, collate_fn=self.collate)

    def val_dataloader(self):
        return DataLoader(range(5), batch_size=2, collate_fn=self.collate)

    @staticmethod
    def collate(numbers):
        return Batch(torch.rand(len(numbers), 3, 4, 4), [target(100 + n) for n in numbers])


class TinyMetric(nn.Module):
    """What the callbacks ask of a metric."""

    def __init__(self, grouping: Grouping):
        super().__init__()
        self.grouping = grouping


class TinyStage(LightningModule):
    nan_at: int | None = None

    def __init__(self):
        super().__init__()
        indicator = ConfusionMatrix(C)
        hallucination = FeatureHallucination(C, D, categories=2, samples=2, beta=0.9, seed=0)
        loss = FCBL(C, 0.001, indicator, alpha=0.85, threshold=0.7)
        self.heads = nn.ModuleDict(
            {
                "bacl": single(Classifier(D, loss, hallucination)),
                "bce": single(Classifier(D, BinaryCrossEntropy(C, 0.001))),
            }
        )
        grouping = groups_by_frequency(TinyData.statistics.frequency)
        self.metrics = nn.ModuleDict({name: TinyMetric(grouping) for name in self.heads})
        self.step_losses = {}
        self.failed_heads = Failures()

    def training_step(self, batch, batch_idx):
        features = batch.images.flatten(1)[:, :D]
        labels = torch.tensor([batch_idx % C, C])
        level = training_level(features, labels, (features[:1], labels[:1]))
        (bce,) = self.heads["bce"].classifiers
        losses = {BOX: features.mean() * bce.predictor.weight.sum()}
        if self.global_step == self.nan_at:
            losses[BOX] = losses[BOX] * torch.nan
        for name, head in self.heads.items():
            losses[Quantity("train", name, "classification")] = head.loss([level])
        self.step_losses = {quantity: loss.detach() for quantity, loss in losses.items()}
        self.log_dict(named(self.step_losses), batch_size=len(batch.targets))
        return torch.stack(list(losses.values())).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.02)


@pytest.fixture
def fit(tmp_path):
    """Train a tiny stage with these callbacks; returns the trainer."""

    def train(*callbacks, stage=None, epochs=2, batches=4, resume=None, logger=False, **options):
        trainer = Trainer(
            default_root_dir=tmp_path, max_epochs=epochs, accelerator="cpu", logger=logger,
            callbacks=list(callbacks), enable_model_summary=False, log_every_n_steps=1,
            **{"enable_checkpointing": False, "enable_progress_bar": False, **options},
        )  # fmt: skip
        trainer.fit(stage or TinyStage(), datamodule=TinyData(batches), ckpt_path=resume)
        return trainer

    return train


@pytest.fixture
def stage() -> TinyStage:
    return TinyStage()


@pytest.fixture
def saved(tmp_path) -> Path:
    return tmp_path / "saved.ckpt"
