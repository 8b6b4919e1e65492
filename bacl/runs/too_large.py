"""A step that does not fit into the memory of its device, and what would."""

import torch
from lightning.pytorch import Trainer

from bacl.data.datamodule import data_of
from bacl.messages.errors import UserError


class TooLargeError(UserError):
    """A training step needed more memory than its device has."""


def too_large(trainer: Trainer, error: Exception) -> TooLargeError | None:
    """What to say where a training ended for want of memory, which torch's error does not.

    Args:
        trainer: of the stage.
        error: that ended the training.
    """
    if not isinstance(error, torch.OutOfMemoryError):
        return None
    images, gathered = data_of(trainer).batch_size, trainer.accumulate_grad_batches
    share = images // trainer.world_size
    mends = ["trainer.precision=bf16-mixed", "smaller images"]
    if share > 1:
        fewer = max(part for part in range(1, share) if share % part == 0)
        mends.insert(
            0,
            f"datamodule.batch_size={fewer * trainer.world_size} "
            f"trainer.accumulate_grad_batches={share // fewer * gathered}, which learns at the "
            "same rate",
        )
    return TooLargeError(
        f"out of memory on {trainer.strategy.root_device} at step {trainer.global_step}, with "
        f"{share} {'image' if share == 1 else 'images'} a process: take {', or '.join(mends)}. "
        "What a step takes, job=data measures before a training"
    )
