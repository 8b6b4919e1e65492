"""What could be read of the pictures, and how long all of it took: the last lines of the job."""

from collections.abc import Iterator
from time import perf_counter

import numpy as np

from bacl.data.images.orientation import UPRIGHT
from bacl.data.images.read_pictures import Unreadable
from bacl.data.images.traits import Trait, told_traits
from bacl.messages.errors import UserError
from bacl.messages.shown import visible
from bacl.prediction.detected_batch import DetectedBatch


class UnreadableError(UserError):
    """Not a single picture could be read."""


class Account:
    """Counts pictures from when it is made.

    Args:
        unit: what they are, in the plural.
    """

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._start = perf_counter()
        self._traits: list[Trait] = []
        self._unreadable: list[Unreadable] = []

    @property
    def read(self) -> int:
        """Pictures that could be read."""
        return len(self._traits)

    def add(self, batch: DetectedBatch) -> None:
        """Count a batch."""
        self._traits += batch.traits
        self._unreadable += batch.unreadable

    def tell_unreadable(self) -> None:
        """Print the names of what could not be read, and why.

        Raises:
            UnreadableError: that is all of it.
        """
        if not self._unreadable:
            return
        pairs = ((visible(each.name), visible(each.reason)) for each in self._unreadable)
        lines = "\n".join(f"  {name}: {reason}" for name, reason in pairs)
        if not self.read:
            raise UnreadableError(f"no picture could be read:\n{lines}")
        count = len(self._unreadable)
        total = count + self.read
        print(f"{count} of {total} files could not be read and are left out:\n{lines}")

    def lines(self, images: str, parts: str) -> Iterator[str]:
        """What is worth telling of the pictures, and how fast they were looked at.

        Args:
            images: what they are called.
            parts: where the time went.
        """
        yield from told_traits(images, np.array(self._traits, dtype=np.int64), UPRIGHT)
        seconds = perf_counter() - self._start
        speed = f"{self.read / seconds:.1f}/s"
        yield f"{self.read} {self._unit} in {seconds:.1f} s ({speed}): {parts}"
