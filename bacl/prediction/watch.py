"""What a prediction spends its time on."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import TypeVar

T = TypeVar("T")
PARTS = ("waiting for pictures", "detection", "waiting for files and drawings")
"""Of the time."""


@dataclass
class Watch:
    """Where the time goes."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count a block as this part."""
        start = perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += perf_counter() - start

    def waiting(self, items: Iterable[T]) -> Iterator[T]:
        """The same items; the time until each comes is waiting for pictures."""
        rest = iter(items)
        while True:
            with self.part(PARTS[0]):
                item = next(rest, None)
            if item is None:
                return
            yield item

    def summary(self) -> str:
        """Seconds of every part."""
        return ", ".join(f"{name} {self.seconds[name]:.1f} s" for name in PARTS)
