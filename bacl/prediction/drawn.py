"""What draws detections, whatever it draws them on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bacl.messages.errors import OptionError
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


def require_elsewhere(drawn: Path, source: Path) -> None:
    """Refuse to draw over what is drawn.

    Args:
        drawn: the file or folder that would be written.
        source: of the video, or of the pictures.

    Raises:
        OptionError: both are one.
    """
    if drawn.exists() and source.exists() and drawn.samefile(source):
        raise OptionError(
            f"predict.output={drawn.parent}: drawings would take the place of {source}; name "
            "another folder, or draw nothing with predict.pictures=0"
        )
