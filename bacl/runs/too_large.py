"""A step that did not fit into the memory of its device, and what would."""

import torch
from lightning.pytorch import Trainer

from bacl.callbacks.smaller_batch import TooLargeError, images_of, mends
from bacl.data.datamodule import data_of


def too_large(trainer: Trainer, error: Exception) -> TooLargeError | None:
    """What to say where a training ended for want of memory, which torch's error does not.

    Args:
        trainer: of the stage.
        error: that ended the training.
    """
    if not isinstance(error, torch.OutOfMemoryError):
        return None
    share = data_of(trainer).batch_size // trainer.world_size
    return TooLargeError(
        f"out of memory on {trainer.strategy.root_device} at step {trainer.global_step}, with "
        f"{images_of(share)} a process: take {mends(trainer, share - 1)}. "
        "What a step takes, job=data measures before a training"
    )
