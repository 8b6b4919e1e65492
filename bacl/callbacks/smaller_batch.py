"""What to do about a step that does not fit into the memory of its device."""

from lightning.pytorch import Trainer

from bacl.data.datamodule import data_of
from bacl.messages.errors import UserError


class TooLargeError(UserError):
    """A training step needs more memory than its device has."""


def images_of(count: int) -> str:
    """So many, in words."""
    return f"{count} {'image' if count == 1 else 'images'}"


def mends(
    trainer: Trainer,
    most: int,
    processes: int | None = None,
    share: int | None = None,
    gathered: int | None = None,
) -> str:
    """What makes a step smaller, the best first.

    Args:
        trainer: of the stage.
        most: images of a process that fit, as far as is known; fewer than there are.
        processes: that will share a batch; None: those of the trainer.
        share: images of a process; None: of the trainer's batch.
        gathered: batches of a step; None: the trainer's.
    """
    processes = processes or trainer.world_size
    share = share or data_of(trainer).batch_size // trainer.world_size
    gathered = gathered or trainer.accumulate_grad_batches
    found = ["trainer.precision=bf16-mixed", "smaller images"]
    if share > 1:
        fewer = max(part for part in range(1, share) if share % part == 0 and part <= max(most, 1))
        found.insert(
            0,
            f"datamodule.batch_size={fewer * processes} "
            f"trainer.accumulate_grad_batches={share // fewer * gathered}, which learns at the "
            "same rate",
        )
    return ", or ".join(found)
