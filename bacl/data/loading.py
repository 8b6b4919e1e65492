"""Batches from worker processes, and their errors without a traceback of a process elsewhere."""

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader

from bacl.data.batch import Batch, Target
from bacl.data.collate import collate
from bacl.errors import UserError


class BatchLoader(DataLoader[Any]):
    """A loader that raises what a data set's `__getitems__` hands over as an error.

    Torch makes one text of an error raised in a worker and its traceback; a mistake that a user can
    mend is told in one line wherever it was found.
    """

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """Batches in order.

        Raises:
            UserError: in the place of the batch that cannot be loaded.
        """
        for batch in super().__iter__():
            if isinstance(batch, UserError):
                raise batch
            yield batch


def collate_or_error(samples: Sequence[tuple[Tensor, Target]] | UserError) -> Batch | UserError:
    """The batch of the samples, or the error that came instead of them."""
    return samples if isinstance(samples, UserError) else collate(samples)
