"""Whether scores are probabilities: the share of right detections over the score, by group."""

from collections.abc import Mapping
from pathlib import Path

from bacl.evaluation.groups import Grouping
from bacl.evaluation.reliability import Reliability
from bacl.reporting.figures.letters import legend_label
from bacl.reporting.figures.style import (
    MUTED,
    head_colour,
    head_marker,
    new_figure,
    save,
    styled,
)

MOST = 4
"""Heads that are drawn, the first ones; the file has all."""


@styled
def draw_reliability(
    path: Path, found: Mapping[str, Mapping[str, Reliability]], grouping: Grouping
) -> Path:
    """Draw a panel for all categories and for each group; a point is a bin of detections.

    Args:
        path: PNG to write.
        found: by head, then "all" or the key of a group.
        grouping: of the categories.

    Returns:
        `path`.
    """
    titles = {"all": "all"} | {group.key: group.name for group in grouping.present}
    figure, [row] = new_figure(3.4 * len(titles), 3.7, 1, len(titles), sharey=True)
    for axes, (key, title) in zip(row, titles.items(), strict=True):
        axes.plot([0, 100], [0, 100], color=MUTED, linewidth=1)
        for index, (head, own) in enumerate(list(found.items())[:MOST]):
            each = own[key]
            error = f"{100 * each.error:.1f}" if each.error >= 0 else "–"
            axes.plot(
                100 * each.scores, 100 * each.right, color=head_colour(index), linewidth=1.2,
                marker=head_marker(index), markersize=3.5, label=f"{legend_label(head)}: {error}",
            )  # fmt: skip
        axes.set_xlabel("mean score (%)")
        axes.set_title(title)
        axes.legend(loc="upper left", fontsize=7.5, title="calibration error", title_fontsize=7.5)
    row[0].set_ylabel("right detections (%)")
    return save(figure, path)
