"""One look for every figure: colours, markers, axes, and the atomic PNG."""

from collections.abc import Callable, Collection
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogFormatter
from numpy.typing import NDArray

from bacl.files.atomic import replacing
from bacl.reporting.figures.letters import FONT

Arguments = ParamSpec("Arguments")

INK = "#212529"
MUTED = "#868e96"
# The colour-blind safe palette of Okabe and Ito, its yellow left out: too light for lines.
HEAD_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
HEAD_MARKERS = ("o", "^", "s", "D", "v", "P", "X")
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "font.family": [FONT],
    "text.parse_math": False,  # names are no mathematics, whatever stands in them
    "text.usetex": False,
    "text.color": INK,
    "axes.edgecolor": "#adb5bd",
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dee2e6",
    "grid.linewidth": 0.6,
    "xtick.color": "#495057",
    "ytick.color": "#495057",
    "legend.frameon": True,
    "legend.framealpha": 0.92,
    "legend.edgecolor": "#dee2e6",
    "legend.fontsize": 9,
}


def styled(draw: Callable[Arguments, Path]) -> Callable[Arguments, Path]:
    """Decorate a drawing function with the look; other matplotlib figures keep theirs."""

    @wraps(draw)
    def draw_styled(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Path:
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return draw_styled


def new_figure(
    width: float, height: float, rows: int = 1, columns: int = 1, **options: Any
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of `width` x `height` inches with a grid of axes; no pyplot, no global state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, axes.tolist()


def panel_grid(
    titles: Collection[str], columns: int, width: float, height: float
) -> tuple[Figure, dict[str, Axes]]:
    """A figure with a panel of `width` x `height` inches for each title, row by row."""
    columns = min(columns, len(titles))
    rows = -(-len(titles) // columns)
    figure, axes = new_figure(width * columns, height * rows, rows, columns)
    cells = [cell for row in axes for cell in row]
    for cell in cells[len(titles) :]:
        cell.set_visible(False)
    return figure, dict(zip(titles, cells, strict=False))


def head_colour(index: int) -> str:
    """The colour of the head at this position; repeats after seven."""
    return HEAD_COLOURS[index % len(HEAD_COLOURS)]


def head_marker(index: int) -> str:
    """The marker of the head at this position; repeats after seven."""
    return HEAD_MARKERS[index % len(HEAD_MARKERS)]


def written_out(axis: Axis) -> None:
    """Write a logarithmic axis's numbers out: matplotlib's own powers of ten are mathematics."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(LogFormatter(minor_thresholds=(1, 0.5)))  # within one decade


def running_mean(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Centred mean over `window` values, (n,) -> (n,); the window is cut off at both ends."""
    before, after = (window - 1) // 2, window // 2
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    left = np.maximum(index - before, 0)
    right = np.minimum(index + after + 1, len(values))
    return (sums[right] - sums[left]) / (right - left)


def save(figure: Figure, path: Path, dpi: int = 150) -> Path:
    """Write the figure in the format of the path's suffix (a whole file or none); return the path.

    A photograph is written several times faster as .jpg than as .png.
    """
    with replacing(Path(path)) as temporary:
        figure.savefig(temporary, dpi=dpi)
    return Path(path)
