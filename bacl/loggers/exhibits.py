"""What can be shown of a run beside numbers, and the loggers that can.

Exhibits are plain values, made without a thought of who shows them. A logger that can show some is
a `Showcase`; what it has no form for it passes over.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from numpy.typing import NDArray

from bacl.loggers.spared_logger import SparedLogger, attempt_all
from bacl.messages.dispensable import Dispensable

Cell = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture in a file."""

    path: Path
    """PNG."""


@dataclass(frozen=True, slots=True)
class BoxLayer:
    """K boxes of a picture that are switched on and off together."""

    corners: NDArray[np.float64]
    """(K, 4) xyxy, shares of the picture's width and height in [0, 1]."""
    labels: Sequence[int]
    """K, each a key of the pictures' names."""
    captions: Sequence[str]
    """K."""
    scores: Sequence[float] | None = None
    """K in [0, 1]; None where nothing was scored."""


@dataclass(frozen=True, slots=True)
class BoxedPicture:
    """A picture with boxes that are drawn by who shows it."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    title: str
    layers: Mapping[str, BoxLayer]


@dataclass(frozen=True, slots=True)
class BoxedPictures:
    """Pictures side by side."""

    pictures: Sequence[BoxedPicture]
    names: Mapping[int, str]
    """Of the categories that have a box in any of them, by label: of 1,203 the few that occur."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that can be sorted and searched."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts in B bins."""

    counts: NDArray
    """(B,) of any number type, not negative."""
    edges: NDArray
    """(B + 1,), ascending."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Curves over common places, 0 and so on."""

    series: Mapping[str, NDArray]
    """(n,) each."""
    title: str
    places: str
    """What the places are."""


Exhibit = Figure | BoxedPictures | Table | Histogram | Lines


class Showcase(ABC):
    """A logger that shows exhibits."""

    @abstractmethod
    def show(self, exhibits: Mapping[str, Exhibit], step: int) -> None:
        """Show what it has a form for, under the exhibits' keys: `<section>/<name>`."""


def showcases(loggers: Iterable[Logger]) -> list[SparedLogger]:
    """Those of a run's loggers that can show something, and cannot end it."""
    spared = [logger for logger in loggers if isinstance(logger, SparedLogger)]
    return [logger for logger in spared if isinstance(logger.inner, Showcase)]


@rank_zero_only
def show(loggers: Iterable[Logger], exhibits: Mapping[str, Exhibit], step: int) -> None:
    """Show exhibits in all loggers that can; others have the run's files beside them."""
    attempt_all(showcases(loggers), lambda logger: logger.show(exhibits, step))


@rank_zero_only
def show_made(
    loggers: Sequence[Logger], makers: Mapping[str, Callable[[], Exhibit]], step: int
) -> None:
    """Make exhibits and show them, where anybody does; one that cannot be made is told of."""
    if not showcases(loggers):
        return
    made = {}
    with Dispensable("not shown in loggers") as lack:
        for key, make in makers.items():
            with lack.part(key):
                made[key] = make()
    if made:
        show(loggers, made, step)
