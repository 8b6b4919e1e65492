"""What a prediction spends its time on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

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

    def summary(self) -> str:
        """Seconds of every part."""
        return ", ".join(f"{name} {self.seconds[name]:.1f} s" for name in PARTS)
