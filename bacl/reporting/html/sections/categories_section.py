"""Every category: what was trained on, what each head has, and a page of its own."""

from typing import Any

import numpy as np

from bacl.evaluation.close_look import ThresholdCurves
from bacl.evaluation.evaluation import Evaluation
from bacl.evaluation.object_matching import rank_in_run
from bacl.messages.shown import shown
from bacl.reporting.html.markup import element, joined
from bacl.reporting.html.section import Content, Section, Source, shade_class

CURVES = 250_000
"""Points of all curves of the page, at most: so many are 4 MB."""


def make(source: Source) -> Content:
    """The columns of the table, and the curves of the pages of categories."""
    counts, grouping = source.data.statistics, source.grouping
    keys = [group.key for group in grouping.present]
    images = np.asarray(counts.image_counts)
    measures = {name: _measures(each) for name, each in source.evaluations.items()}
    data: dict[str, Any] = {
        "ids": np.asarray(source.data.val_table.category_ids).tolist(),
        "names": [shown(name) for name in source.names],
        "groups": [{"name": g.name, "shade": shade_class(grouping, g)} for g in grouping.present],
        "group_of": [keys.index(key) for key in grouping.keys.tolist()],
        "images": images.tolist(),
        "instances": np.asarray(counts.instance_counts).tolist(),
        "by_instances": grouping.by_instances,
        "objects": np.asarray(source.first.per_category["num_ground_truth"]).tolist(),
        "heads": list(source.evaluations),
        "measures": list(next(iter(measures.values()))),
        "values": measures,
        "curves": _curves(source),
    }
    told = "Choose a category for its page: examples, what heads say of it, and its curves."
    view = element("div", id="categories-view")
    return Content(joined([element("p", told, class_="note"), view]), data)


def _measures(evaluation: Evaluation) -> dict[str, list[float | None]]:
    """By title, percent of each category; None without objects."""
    per = evaluation.per_category
    found = {"AP": per["AP"], "AP50": per["AP50"], "recall": per["recall"]}
    if evaluation.right_labels is not None:
        found = {"AP": per["AP"], "right label": _right_labels(evaluation), **found}
    masks = {"AP masks": per["segm/AP"]} if "segm/AP" in per else {}
    return {title: _percents(values) for title, values in (found | masks).items()}


def _right_labels(evaluation: Evaluation) -> np.ndarray:
    """(C,) share of objects; -1 without."""
    found = evaluation.right_labels
    assert found is not None
    size = evaluation.grouping.num_categories
    objects = np.bincount(found.labels, minlength=size)
    right = np.bincount(found.labels[found.right], minlength=size)
    return np.where(objects > 0, right / np.maximum(objects, 1), -1.0)


def _percents(values: np.ndarray) -> list[float | None]:
    return [round(100 * value, 1) if value >= 0 else None for value in np.asarray(values).tolist()]


def _curves(source: Source) -> dict[str, Any]:
    """By head: where each category's points begin, and scores, precision and recall in percent."""
    looks = {n: e.close_look for n, e in source.evaluations.items() if e.close_look is not None}
    size = source.grouping.num_categories
    total = sum(len(look.curves.labels) for look in looks.values())
    step = max(1, -(-total // CURVES))
    return {name: _columns(look.curves, size, step) for name, look in looks.items()}


def _columns(curves: ThresholdCurves, size: int, step: int) -> dict[str, Any]:
    opens = np.diff(curves.labels, prepend=-1) != 0
    kept = rank_in_run(opens) % step == 0
    labels = curves.labels[kept]
    return {
        "starts": np.searchsorted(labels, np.arange(size + 1)).tolist(),
        "scores": [float(f"{score:.3g}") for score in curves.scores[kept].tolist()],
        "precision": np.round(100 * curves.precision[kept], 1).tolist(),
        "recall": np.round(100 * curves.recall[kept], 1).tolist(),
    }


SECTION = Section("categories", "Categories", make)
