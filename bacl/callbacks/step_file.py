"""What led to a training step without finite losses, as a file to look at."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from bacl.data.batch import Batch, Target
from bacl.files.saving import save
from bacl.processes.distributed import process_rank


class StepFile:
    """`non_finite_loss.pt` in the trainer's `default_root_dir`.

    Of other processes than the first `non_finite_loss_rank<i>.pt`. `torch.load(path,
    weights_only=True)` gives plain dictionaries: `losses`, `image_ids`, `epoch`, `step`,
    `learning_rates`, `images` (B, 3, H, W), `targets` and the module's `state_dict`.
    """

    batch: Batch | None = None
    """Of the step in progress."""

    def path(self, trainer: Trainer) -> Path:
        """Where this process writes it."""
        rank = f"_rank{process_rank()}" if process_rank() else ""
        return Path(trainer.default_root_dir) / f"non_finite_loss{rank}.pt"

    @property
    def image_ids(self) -> list[int]:
        """Of the batch; empty between two steps."""
        return [int(target.image_id) for target in self.batch.targets] if self.batch else []

    def save(self, trainer: Trainer, pl_module: LightningModule, losses: dict[str, float]) -> None:
        """Write it, as a whole or not at all.

        Raises:
            UnwritableError: the disk is full, or refuses the file.
        """
        content = {
            "losses": losses,
            "image_ids": self.image_ids,
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            "learning_rates": learning_rates(trainer),
            "images": self.batch.images.cpu() if self.batch else None,
            "targets": [_plain(target) for target in self.batch.targets] if self.batch else [],
            "state_dict": {
                name: value.cpu() if isinstance(value, Tensor) else value
                for name, value in pl_module.state_dict().items()
            },
        }
        save(content, self.path(trainer))


def learning_rates(trainer: Trainer) -> list[float]:
    """Of every parameter group."""
    groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
    return [float(group["lr"]) for group in groups]


def told_rates(trainer: Trainer) -> str:
    """The different ones, ascending, for a message."""
    return ", ".join(f"{rate:g}" for rate in sorted(set(learning_rates(trainer))))


def _plain(target: Target) -> dict[str, Any]:
    """A target as a dictionary of tensors on the CPU, numbers and tuples."""
    values = {field.name: getattr(target, field.name) for field in fields(target)}
    return {name: v.cpu() if isinstance(v, Tensor) else v for name, v in values.items()}
