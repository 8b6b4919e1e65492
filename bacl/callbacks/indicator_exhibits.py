"""What loggers show of long-term indicators: margins, and the classes that are confused most.

C: categories. Of many categories some rows are made at a time: all margins of 13,204 would be 0.7
GB a head, and several times that on the way.
"""

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bacl.data.statistics import CategoryStatistics
from bacl.evaluation.groups import CategoryGroup, Grouping
from bacl.heads import Classifier
from bacl.indicators import PairwiseIndicator
from bacl.loggers.exhibits import Cell, Histogram, Table
from bacl.messages.shown import shown
from bacl.reporting.figures.indicator_maps import Rows

BINS = 64
MAPS = 6
"""Of classifiers side by side, at most."""
PAIRS = 50
"""Of the table, for each classifier."""
ENTRIES = 2**22
"""Of a matrix that are made at a time, about."""


def any_margins(classifier: Classifier) -> bool:
    """Whether its loss adds margins between classes."""
    return _margins(classifier, np.zeros(0, np.int64)) is not None


def margin_histogram(classifier: Classifier, group: CategoryGroup) -> Histogram:
    """Of the rows of a group's categories, without those of a category to itself."""
    labels = np.flatnonzero(group.members)
    # Twice: the bins are known when all margins have been seen.
    ends = [(part.min(), part.max()) for part in _to_others(classifier, labels) if part.size]
    if not ends:
        return Histogram(np.zeros(1, int), np.array([0.0, 1.0]))
    limits = float(min(low for low, _ in ends)), float(max(high for _, high in ends))
    parts = [np.histogram(part, BINS, limits) for part in _to_others(classifier, labels)]
    return Histogram(np.sum([counts for counts, _ in parts], axis=0), parts[0][1])


def _to_others(classifier: Classifier, labels: NDArray) -> Iterator[NDArray]:
    """The margins of classes to other ones, of some rows at a time."""
    size = classifier.criterion.num_classes
    for some in _parts(labels, size):
        margins = _margins(classifier, some)
        assert margins is not None  # of all labels or of none
        yield margins[np.arange(size) != some[:, None]]


@torch.no_grad()
def _margins(classifier: Classifier, labels: NDArray) -> NDArray | None:
    """(P, C) of labels (P,)."""
    margins = classifier.criterion.pairwise_margins(_labels(classifier, labels))
    return None if margins is None else margins.float().cpu().numpy()


def row_makers(classifiers: Mapping[str, Classifier]) -> dict[str, Rows]:
    """What makes rows of the matrix of those that learn by one, the first `MAPS` of them."""
    found: dict[str, Rows] = {}
    for name, classifier in classifiers.items():
        indicator = classifier.criterion.indicator
        if isinstance(indicator, PairwiseIndicator) and len(found) < MAPS:
            found[name] = partial(_rows, classifier, indicator)
    return found


def _rows(classifier: Classifier, indicator: PairwiseIndicator, labels: NDArray) -> NDArray:
    """(P, C) in [0, 1] of labels (P,)."""
    return indicator.rows(_labels(classifier, labels)).cpu().numpy()


def pair_table(
    matrices: Mapping[str, Rows], statistics: CategoryStatistics, grouping: Grouping
) -> Table:
    """The largest probabilities of another category, of each classifier."""
    rows: list[list[Cell]] = []
    names, keys = [shown(name) for name in statistics.names], grouping.keys.tolist()
    for head, matrix in matrices.items():
        for own, other, value in _largest(matrix, len(names)):
            share = float(f"{value:.4g}")
            rows.append([head, names[own], keys[own], names[other], keys[other], share])
    columns = ("classifier", "sample of", "group", "taken for", "its group", "mean probability")
    return Table(columns, rows)


def _largest(matrix: Rows, size: int) -> list[tuple[int, int, float]]:
    """Row, column and value of the largest positive cells, the largest first; at most `PAIRS`."""
    places, values = np.zeros(0, np.int64), np.zeros(0, np.float32)
    for labels in _parts(np.arange(size), size):
        cells = np.where(np.arange(size) == labels[:, None], 0, matrix(labels)).ravel()
        most = np.argpartition(-cells, min(PAIRS, len(cells)) - 1)[:PAIRS]
        places = np.concatenate([places, labels[0] * size + np.sort(most)])
        values = np.concatenate([values, cells[np.sort(most)]])
        first = np.argsort(-values, kind="stable")[:PAIRS]
        places, values = places[first], values[first]
    pairs = zip(*np.divmod(places, size), values, strict=True)
    return [(int(own), int(other), float(value)) for own, other, value in pairs if value > 0]


def _parts(labels: NDArray, size: int) -> list[NDArray]:
    """Labels in parts whose rows of so many columns are about `ENTRIES`; at least one part."""
    return np.array_split(labels, max(1, -(-len(labels) * size // ENTRIES)))


def _labels(classifier: Classifier, labels: NDArray) -> Tensor:
    """On the device of the classifier."""
    return torch.from_numpy(labels).to(next(classifier.parameters()).device)
