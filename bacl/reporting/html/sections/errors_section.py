"""What went wrong with every head: fates of objects, kinds of detections, costs, confusions."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bacl.evaluation.errors.category_confusion import Confusion
from bacl.evaluation.errors.detection_kinds import DetectionKind, words
from bacl.evaluation.errors.error_rates import JUDGED_KINDS, ErrorRate
from bacl.evaluation.errors.object_fates import ObjectFate, ObjectFates
from bacl.evaluation.object_matching import rank_in_run
from bacl.reporting.error_results import ErrorResults
from bacl.reporting.head_rows import Cell, compared, in_percent
from bacl.reporting.html.markup import Markup, element
from bacl.reporting.html.percent_table import percent_table
from bacl.reporting.html.section import Content, LeftOut, Section, Source, group_title

NEIGHBOURS = 4
"""Categories that one is confused with, of a head, on its page."""
FATES = (
    "Of 100 annotated objects of a group. Right: the best detection over the object, of any "
    "category, has its category. Wrong category: it has another one. Badly localised: there is "
    "none, but one of its category that overlaps less. Missed: neither."
)
DETECTIONS = (
    "Judged detections for each 100 objects of the group, from the score on with which a head has "
    "as many of them as there are objects ({thresholds}). A detection belongs to the group of its "
    "own category. What cannot be judged is not among them."
)
COSTS = "What AP50 would gain if all errors of one kind were mended and no other."


def make(source: Source) -> Content:
    """Tables of all heads by group, and of each category what it is confused with."""
    results = ErrorResults.of(source.evaluations, source.names)
    if results is None:
        raise LeftOut("errors were not looked at; report.errors=true does")
    number = len(ObjectFate)
    told = ", ".join(f"{name} {each.threshold:.3g}" for name, each in results.findings.items())
    kinds = element("summary", "Kinds of detections")
    detections = element("p", DETECTIONS.format(thresholds=told), class_="note")
    parts = [
        element("p", FATES, class_="note"),
        *_tables(source, results, ObjectFate, 0),
        element("details", kinds, detections, *_tables(source, results, JUDGED_KINDS, number)),
        element("details", element("summary", "What errors cost"), *_costs(results)),
    ]
    return Content(element("div", *parts, class_="tables"), _of_categories(results))


def _tables(source: Source, results: ErrorResults, kinds: Any, first: int) -> list[Markup]:
    titles = ["all", *(group_title(source.grouping, group) for group in source.grouping.groups)]
    return [
        percent_table(
            words(kind),
            titles,
            [
                (name, [_cell(own[place]) for own in groups.values()])
                for name, groups in results.rates.items()
            ],
            more_is_better=kind in (ObjectFate.RIGHT, DetectionKind.RIGHT),
        )
        for place, kind in enumerate(kinds, first)
    ]


def _cell(rate: ErrorRate) -> Cell:
    if rate.difference is None:
        return Cell(in_percent(rate.value))
    return compared(100 * rate.value, rate.difference)


def _costs(results: ErrorResults) -> list[Markup]:
    parts = {name: each.parts for name, each in results.findings.items()}
    rows = [
        (name, [Cell(in_percent(value)) for value in (own.mean(), *map(own.cost, results.mended))])
        for name, own in parts.items()
    ]
    table = percent_table("all categories", ["AP50", *results.mended], rows)
    return [element("p", COSTS, class_="note"), table]


def _of_categories(results: ErrorResults) -> dict[str, Any]:
    """By head: the fates of each category's objects, and both ways of being confused."""
    size = len(results.names)
    return {
        "kinds": [words(kind) for kind in ObjectFate],
        "fates": {name: _fates(each.objects, size) for name, each in results.findings.items()},
        "called": {name: _neighbours(each, size) for name, each in results.confusions.items()},
        "taken": {
            name: _neighbours(each, size, turned=True) for name, each in results.confusions.items()
        },
    }


def _fates(objects: ObjectFates, size: int) -> list[list[int]]:
    cells = objects.labels * len(ObjectFate) + objects.fates
    counts = np.bincount(cells, minlength=size * len(ObjectFate))
    return counts.reshape(size, len(ObjectFate)).tolist()


def _neighbours(found: Confusion, size: int, turned: bool = False) -> dict[str, list[Any]]:
    """Of each category [other, objects] of the most frequent, by its label.

    What its objects are called or, `turned`, what else is called by its name.
    """
    cells = np.flatnonzero(found.mistaken)
    own, other = found.annotated[cells], found.detected[cells]
    own, other = (other, own) if turned else (own, other)
    order = np.lexsort((other, -found.counts[cells], own))
    order = order[rank_in_run(np.diff(own[order], prepend=-1) != 0) < NEIGHBOURS]
    pairs: dict[str, list[Any]] = {}
    for label, *pair in _rows(own[order], other[order], found.counts[cells][order]):
        pairs.setdefault(str(label), []).append(pair)
    return pairs


def _rows(*columns: np.ndarray) -> Sequence[tuple[int, ...]]:
    return list(zip(*(column.tolist() for column in columns), strict=True))


SECTION = Section("errors", "Errors", make)
