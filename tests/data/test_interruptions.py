"""Any number of interruptions in any hooks: the same weights, batches and rows of metrics."""

import csv
import random
from functools import partial

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import nn
from torchvision.transforms import v2

from bacl.callbacks.last_checkpoint import LastCheckpoint
from bacl.data.augmentation.transforms import Augmentation
from bacl.data.datamodule import DetectionDataModule
from bacl.data.samplers import RandomBatches
from bacl.loggers.csv_logger import CSVLogger
from bacl.processes.agreement import Agreement

HOOKS = (
    *("on_train_start", "on_train_epoch_start", "on_train_batch_start", "on_before_backward"),
    *("on_before_optimizer_step", "on_train_batch_end", "on_validation_start"),
    *("on_validation_batch_end", "on_validation_end", "on_train_epoch_end", "on_train_end"),
)


@pytest.fixture
def data(ten_pictures):
    """Five batches an epoch."""
    folder = {"annotations": ten_pictures.source, "images": ten_pictures.source.parent}
    augment = Augmentation(train=v2.RandomCrop(40), test=v2.Identity())
    sampler = partial(RandomBatches, group_by_aspect_ratio=False)
    return lambda: DetectionDataModule(folder, folder, augment, sampler, 2, 4, 0, 3)


class Module(LightningModule):
    """Its weight is a fingerprint of the pixels, in order; logs steps, validations and epochs."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def training_step(self, batch, index):
        loss = self.weight * batch.images.mean() + self.weight**2
        self.log("train/loss", loss, batch_size=2)
        return loss

    def validation_step(self, batch, index):
        self.log("val/weight", self.weight, batch_size=2)

    def on_train_epoch_end(self):
        self.log("epoch/weight", self.weight)

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), 0.1, momentum=0.9)
        scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, total_iters=9)
        return {
            "optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}
        }  # fmt: skip


class Killed(Exception):
    pass


class Kill(Callback):
    """Ends the training at the n-th event after the start of the training."""

    def __init__(self, at, kind):
        self.left, self.kind = at, kind
        for hook in HOOKS:
            setattr(self, hook, self.count)

    def count(self, trainer, *_):
        if not trainer.sanity_checking:
            self.left -= 1
            if self.left == 0:
                raise self.kind


class LateKill(Kill, Checkpoint):
    """Comes after the callback that saves."""


def fit(data, folder, *kills, **options):
    """Train, from where it was interrupted; returns the module, or None if interrupted again."""
    last = LastCheckpoint(folder, Agreement(0))
    trainer = Trainer(
        default_root_dir=folder, max_epochs=3, accelerator="cpu", logger=CSVLogger(folder),
        enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
        callbacks=[last, *kills], **{"log_every_n_steps": 1, **options},
    )  # fmt: skip
    module = Module()
    resumed = {"ckpt_path": last.path, "weights_only": True} if last.path.exists() else {}
    try:
        trainer.fit(module, datamodule=data(), **resumed)
    except (Killed, SIGTERMException):
        return None
    return module


def rows(folder):
    with (folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


OPTIONS = {
    "after every epoch": {},
    "within epochs": {"val_check_interval": 2},
    "after every second epoch": {"check_val_every_n_epoch": 2},
    "never": {"limit_val_batches": 0},
    "with accumulated gradients": {"accumulate_grad_batches": 2},
    "within accumulated gradients": {
        "accumulate_grad_batches": 2, "val_check_interval": 1, "log_every_n_steps": 2
    },
    "in limited epochs": {"limit_train_batches": 3},
    "in epochs of one step": {"limit_train_batches": 1, "val_check_interval": 1.0},
}  # fmt: skip
"""When a validation follows a step."""
QUICK = "within epochs"


@pytest.mark.parametrize(
    ("options", "chains"),
    [
        pytest.param(value, chains, id=f"{name} {chains}", marks=[pytest.mark.slow] * (chains > 1))
        for chains in (1, 8)
        for name, value in OPTIONS.items()
        if chains > 1 or name == QUICK
    ],
)
def test_chained_interruptions_change_nothing(data, tmp_path, options, chains):
    straight = fit(data, tmp_path / "straight", **options)
    expected = rows(tmp_path / "straight")
    for chain in range(chains):
        draw, folder = random.Random(chain), tmp_path / str(chain)
        for _ in range(5):
            kill, kind = draw.choice([Kill, LateKill]), draw.choice([Killed, SIGTERMException])
            fit(data, folder, kill(draw.randrange(1, 25), kind), **options)
        module = fit(data, folder, **options)
        assert torch.equal(module.weight, straight.weight)
        assert rows(folder) == expected
