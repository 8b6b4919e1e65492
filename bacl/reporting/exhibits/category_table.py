"""Each category in a row: how often it was trained on, and what became of it with every head.

C: categories.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bacl.data.statistics import CategoryStatistics
from bacl.evaluation.errors.detection_kinds import words
from bacl.evaluation.errors.object_fates import ObjectFate, ObjectFates
from bacl.evaluation.evaluation import Evaluation
from bacl.evaluation.right_label import RightLabels
from bacl.loggers.exhibits import Cell, Table
from bacl.messages.shown import shown

ROWS = 10_000
"""At most, the categories with the fewest training images first; W&B takes no more at once."""


def category_table(evaluations: Mapping[str, Evaluation], statistics: CategoryStatistics) -> Table:
    """Name, group, training images and objects, then of each variant all that was looked at.

    That is AP, the share of objects with their right label, the shares of those with each other
    fate (`ObjectFate`), and the threshold of scores. Empty where there is nothing to average. The
    categories with the fewest training images come first.
    """
    first = next(iter(evaluations.values()))
    images = np.asarray(statistics.image_counts)
    columns: dict[str, NDArray] = {
        "group": first.grouping.keys,
        "training images": images,
        "training objects": np.asarray(statistics.instance_counts),
    }
    for name, evaluation in evaluations.items():
        columns |= {f"{name}: {title}": values for title, values in _found(evaluation).items()}
    order = np.argsort(images, kind="stable")[:ROWS]
    names = [shown(statistics.names[label]) for label in order.tolist()]
    cells = [[_cell(value) for value in values[order].tolist()] for values in columns.values()]
    return Table(["category", *columns], [list(row) for row in zip(names, *cells, strict=True)])


def _found(evaluation: Evaluation) -> dict[str, NDArray]:
    """(C,) each, NaN where there is nothing."""
    size = evaluation.grouping.num_categories
    precision = np.asarray(evaluation.per_category["AP"], float)
    found = {"AP": np.where(precision < 0, np.nan, precision)}
    if evaluation.right_labels is not None:
        found["right label"] = _right(evaluation.right_labels, size)
    if evaluation.errors is not None:
        found |= _fates(evaluation.errors.objects, size)
    if evaluation.operating_points is not None:
        found["threshold"] = evaluation.operating_points.thresholds.per_category
    return found


def _right(labels: RightLabels, size: int) -> NDArray:
    return _shares(labels.labels[labels.right], labels.labels, size)


def _fates(objects: ObjectFates, size: int) -> dict[str, NDArray]:
    """Those that are errors."""
    return {
        words(fate): _shares(objects.labels[objects.fates == fate], objects.labels, size)
        for fate in ObjectFate
        if fate is not ObjectFate.RIGHT
    }


def _shares(part: NDArray, labels: NDArray, size: int) -> NDArray:
    """(C,) of the objects of each category the share that is in the part; NaN without objects."""
    own, all_ = (np.bincount(each, minlength=size) for each in (part, labels))
    return np.divide(own, all_, out=np.full(size, np.nan), where=all_ > 0)


def _cell(value: Cell) -> Cell:
    if not isinstance(value, float):
        return value
    return None if np.isnan(value) else float(f"{value:.4g}")
