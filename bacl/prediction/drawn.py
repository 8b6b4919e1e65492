"""What draws detections, whatever it draws them on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bacl.prediction.output import Output
from bacl.processes.cores import usable_cores

WORKERS = min(4, usable_cores())
"""Threads that draw."""
AHEAD = 2 * WORKERS
"""Pictures that may wait to be drawn: more would only fill the memory."""


@dataclass(frozen=True)
class Look:
    """What drawn detections are told with."""

    names: Sequence[str]
    """Of the categories, by label."""
    taken: str
    """By what detections were chosen."""


class Drawing(Output, Protocol):
    """Draws beside the network, by threads."""

    @property
    def done(self) -> int:
        """Pictures or frames that were drawn."""
