"""What loggers show of classifiers while they learn.

C: categories.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bacl.data.statistics import CategoryStatistics
from bacl.evaluation.groups import CategoryGroup, Grouping
from bacl.heads import Classifier
from bacl.indicators import ConfusionMatrix
from bacl.loggers.exhibits import Cell, Exhibit, Figure, Histogram, Lines, Table
from bacl.messages.shown import shown
from bacl.reporting.figures.indicator_maps import draw_indicator_maps

BINS = 64
MAPS = 6
"""Of classifiers side by side, at most."""
PAIRS = 50
"""Of the indicator's table, for each classifier."""
Makers = dict[str, Callable[[], Exhibit]]


@torch.no_grad()
def classifier_exhibits(
    classifiers: Mapping[str, Classifier],
    norms: Mapping[str, NDArray],
    statistics: CategoryStatistics,
    grouping: Grouping,
    folder: Path,
) -> Makers:
    """What makes each panel, by its key: weight norms (Fig. 5), margins, indicators, drawn classes.

    Args:
        classifiers: by name.
        norms: (C,) weight norms by the same names.
        statistics: of the training data.
        grouping: of the categories.
        folder: for pictures.
    """
    makers: Makers = {
        "classifier/weight_norm_table": partial(_norm_table, norms, statistics, grouping),
        "classifier/weight_norm_lines": partial(_norm_lines, norms, statistics),
    }
    makers |= {
        f"classifier/{name}/norms": partial(histogram, values) for name, values in norms.items()
    }
    for name, classifier in classifiers.items():
        margins = classifier.criterion.pairwise_margins()
        if margins is not None:
            found = margins.float().cpu().numpy()
            for group in grouping.present:
                key = f"classifier/{name}/margins_{group.key}"
                makers[key] = partial(_margin_histogram, found, group)
        added = classifier.hallucination
        if added is not None and (draws := added.class_draws) is not None:
            drawn = draws.cpu().numpy()
            makers[f"classifier/{name}/drawn"] = partial(draw_histogram, drawn, statistics)
    if matrices := _matrices(classifiers):
        counts = statistics.instance_counts.numpy()
        path = folder / "indicators.png"
        makers["classifier/indicators"] = lambda: Figure(
            draw_indicator_maps(path, matrices, counts)
        )
        makers["classifier/indicator_pairs"] = partial(_pair_table, matrices, statistics, grouping)
    return makers


def histogram(values: NDArray) -> Histogram:
    """Of any number of values, which are finite; without any, of one empty bin."""
    if not values.size:
        return Histogram(np.zeros(1, int), np.array([0.0, 1.0]))
    return Histogram(*np.histogram(values, bins=BINS))


def draw_histogram(draws: NDArray, statistics: CategoryStatistics) -> Histogram:
    """How often categories were drawn, over their rank: that with most instances is 0.

    Args:
        draws: (C,) int64.
        statistics: of the training data.
    """
    ordered = draws[_order(statistics)]
    edges = np.unique(np.linspace(0, len(ordered), min(BINS, len(ordered)) + 1).astype(int))
    return Histogram(np.add.reduceat(ordered, edges[:-1]), edges)


def _margin_histogram(margins: NDArray, group: CategoryGroup) -> Histogram:
    """Of the rows of a group's categories, without those of a category to itself."""
    others = ~np.eye(len(margins), dtype=bool)[group.members]
    return histogram(margins[group.members][others])


def _matrices(classifiers: Mapping[str, Classifier]) -> dict[str, NDArray]:
    """(C, C) of those that learn by a confusion matrix, the first `MAPS` of them."""
    indicators = {name: each.criterion.indicator for name, each in classifiers.items()}
    confused = {n: each for n, each in indicators.items() if isinstance(each, ConfusionMatrix)}
    return {n: confused[n].matrix().cpu().numpy() for n in list(confused)[:MAPS]}


def _pair_table(
    matrices: Mapping[str, NDArray], statistics: CategoryStatistics, grouping: Grouping
) -> Table:
    """The largest probabilities of another category, of each classifier."""
    rows: list[list[Cell]] = []
    names, keys = [shown(name) for name in statistics.names], grouping.keys.tolist()
    for head, matrix in matrices.items():
        for place in _largest(np.where(np.eye(len(matrix), dtype=bool), 0, matrix)):
            own, other = divmod(place, len(matrix))
            share = float(f"{matrix[own, other]:.4g}")
            rows.append([head, names[own], keys[own], names[other], keys[other], share])
    columns = ("classifier", "sample of", "group", "taken for", "its group", "mean probability")
    return Table(columns, rows)


def _largest(matrix: NDArray) -> list[int]:
    """Places of the largest positive cells, the largest first; at most `PAIRS`."""
    cells = matrix.ravel()
    most = np.sort(np.argpartition(-cells, min(PAIRS, len(cells)) - 1)[:PAIRS])
    found: list[int] = most[np.argsort(-cells[most], kind="stable")].tolist()
    return [place for place in found if cells[place] > 0]


def _norm_table(
    norms: Mapping[str, NDArray], statistics: CategoryStatistics, grouping: Grouping
) -> Table:
    """A row for each category, that with most instances first."""
    order = _order(statistics)
    columns = [
        [shown(statistics.names[label]) for label in order.tolist()],
        grouping.keys[order].tolist(),
        statistics.instance_counts.numpy()[order].tolist(),
        *[norm[order].tolist() for norm in norms.values()],
    ]
    rows = [list(row) for row in zip(*columns, strict=True)]
    return Table(["category", "group", "instances", *norms], rows)


def _norm_lines(norms: Mapping[str, NDArray], statistics: CategoryStatistics) -> Lines:
    order = _order(statistics)
    ordered = {name: norm[order] for name, norm in norms.items()}
    return Lines(ordered, "weight norms", "categories, most instances first")


def _order(statistics: CategoryStatistics) -> NDArray:
    """(C,) labels, those with most instances first."""
    return np.argsort(-statistics.instance_counts.numpy(), kind="stable")
