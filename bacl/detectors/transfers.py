"""Numbers that go from the host to its device and back, with as few waits as can be.

A GPU works off what the host has asked for; the host is far ahead of it and waits only for a
number that decides what it asks for next.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from bacl.data.uploads import uploaded

EXPONENT = 0x7F800000
"""Bits of a float32 that are all set in infinity and NaN, and in no other number."""


def sent(numbers: np.ndarray, device: torch.device) -> Tensor:
    """What the host knows as a tensor on `device`, without waiting for the device."""
    return uploaded(torch.from_numpy(numbers), device)


class Awaited:
    """Whole numbers that the host will need, fetched all at once when the first is needed.

    So a check whose result does not decide anything costs no wait of its own, and neither do
    counts that are asked for early and needed late.
    """

    def __init__(self) -> None:
        self._pending: list[tuple[Tensor, Callable[[list[int]], None]]] = []

    def later(self, values: Tensor) -> Callable[[], list[int]]:
        """A function that returns `values` (·,), integers, and fetches them if they are not here.

        It raises what a check that was registered before finds.
        """
        here: list[int] = []
        self._pending.append((values, here.extend))

        def numbers() -> list[int]:
            if not here:
                self.fetch()
            return here

        return numbers

    def check_finite(self, values: Tensor, told: str) -> None:
        """At the next fetch, that no value is NaN or infinite.

        Args:
            values: float32, of any shape.
            told: message of the FloatingPointError that the fetch raises otherwise.
        """

        def check(bits: list[int]) -> None:
            if any(number & EXPONENT == EXPONENT for number in bits):
                raise FloatingPointError(told)

        if values.numel() > 0:  # NaN is both the smallest and the largest value
            self._pending.append((torch.stack(values.aminmax()).view(torch.int32), check))

    def fetch(self) -> None:
        """Get all that is awaited; the host waits once.

        Raises:
            FloatingPointError: a check failed.
        """
        pending, self._pending = self._pending, []
        if not pending:
            return
        numbers = torch.cat([values for values, _ in pending]).tolist()
        first = 0
        for values, take in pending:
            take(numbers[first : first + len(values)])
            first += len(values)
