"""What validations within a training found, over its steps."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bacl.evaluation.measures import Measure
from bacl.reporting.figures.letters import label, legend_label
from bacl.reporting.figures.losses import Curve, panels_of, read_curves
from bacl.reporting.figures.style import MUTED, head_colour, panel_grid, save, styled

COLUMNS = 4


@styled
def draw_validations(path: Path, panels: Mapping[str, Mapping[str, Curve]]) -> Path:
    """Draw a panel for each measure, with a curve for each head.

    Args:
        path: PNG to write.
        panels: by title and head, see `validation_panels`.

    Returns:
        `path`.
    """
    figure, cells = panel_grid(panels, COLUMNS, 3.4, 2.9)
    for title, curves in panels.items():
        _draw_panel(cells[title], title, curves)
    return save(figure, path)


def validation_panels(
    metrics_csv: Path, measures: Sequence[Measure], heads: Sequence[str]
) -> dict[str, dict[str, Curve]]:
    """Steps and values in percent, by title of the measure and by head.

    Args:
        metrics_csv: the CSV logger's file.
        measures: with a panel each.
        heads: in the order of the other figures' colours.

    Returns:
        Nothing where there are fewer than two validations: they make no curve.
    """
    try:
        read = panels_of(read_curves(metrics_csv, "val"), heads)
    except ValueError:  # none was logged
        return {}
    found = {each.full_title: read[each.name] for each in measures if each.name in read}
    several = any(len(steps) > 1 for curves in found.values() for steps, _ in curves.values())
    return {title: _percent(curves) for title, curves in found.items()} if several else {}


def _percent(curves: Mapping[str, Curve]) -> dict[str, Curve]:
    """Without the -1 of what has nothing to average."""
    judged = {head: values >= 0 for head, (_, values) in curves.items()}
    return {
        head: (steps[judged[head]], 100 * values[judged[head]])
        for head, (steps, values) in curves.items()
    }


def _draw_panel(axes: Axes, title: str, curves: Mapping[str, Curve]) -> None:
    for index, (head, (steps, values)) in enumerate(curves.items()):
        colour = head_colour(index)
        axes.plot(steps, values, color=colour, linewidth=2, marker="o", label=legend_label(head))
    axes.set_title(label(title))
    axes.set_xlabel("step", color=MUTED)
    axes.set_ylabel("%", color=MUTED)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.legend(loc="lower right")
