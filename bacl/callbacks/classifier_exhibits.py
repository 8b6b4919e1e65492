"""What loggers show of classifiers while they learn.

C: categories.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bacl.callbacks.indicator_exhibits import any_margins, margin_histogram, pair_table, row_makers
from bacl.data.statistics import CategoryStatistics
from bacl.evaluation.groups import Grouping
from bacl.heads import Classifier
from bacl.loggers.exhibits import Exhibit, Figure, Histogram, Lines, Table
from bacl.messages.shown import shown
from bacl.reporting.exhibits.category_table import ROWS
from bacl.reporting.figures.indicator_maps import draw_indicator_maps

BINS = 64
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
        makers |= _of_classifier(name, classifier, statistics, grouping)
    if matrices := row_makers(classifiers):
        counts = statistics.instance_counts.numpy()
        path = folder / "indicators.png"
        makers["classifier/indicators"] = lambda: Figure(
            draw_indicator_maps(path, matrices, counts)
        )
        makers["classifier/indicator_pairs"] = partial(pair_table, matrices, statistics, grouping)
    return makers


def _of_classifier(
    name: str, classifier: Classifier, statistics: CategoryStatistics, grouping: Grouping
) -> Makers:
    """Margins of the groups, and drawn classes, where it has them."""
    makers: Makers = {}
    if any_margins(classifier):
        for group in grouping.present:
            key = f"classifier/{name}/margins_{group.key}"
            makers[key] = partial(margin_histogram, classifier, group)
    added = classifier.hallucination
    if added is not None and (draws := added.class_draws) is not None:
        drawn = draws.cpu().numpy()
        makers[f"classifier/{name}/drawn"] = partial(draw_histogram, drawn, statistics)
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


def _norm_table(
    norms: Mapping[str, NDArray], statistics: CategoryStatistics, grouping: Grouping
) -> Table:
    """A row for each category, that with most instances first; of too many the rarest."""
    order = _order(statistics)[-ROWS:]
    columns = [
        [shown(statistics.names[label]) for label in order.tolist()],
        grouping.keys[order].tolist(),
        statistics.instance_counts.numpy()[order].tolist(),
        *[norm[order].tolist() for norm in norms.values()],
    ]
    rows = [list(row) for row in zip(*columns, strict=True)]
    return Table(["category", "group", "instances", *norms], rows)


def _norm_lines(norms: Mapping[str, NDArray], statistics: CategoryStatistics) -> Lines:
    """Of too many categories for a logger one of two, or of three and so on."""
    order = _order(statistics)
    step = -(-len(order) * len(norms) // ROWS) or 1
    ordered = {name: norm[order[::step]] for name, norm in norms.items()}
    places = "categories, most instances first" + (f", one of {step}" if step > 1 else "")
    return Lines(ordered, "weight norms", places)


def _order(statistics: CategoryStatistics) -> NDArray:
    """(C,) labels, those with most instances first."""
    return np.argsort(-statistics.instance_counts.numpy(), kind="stable")
