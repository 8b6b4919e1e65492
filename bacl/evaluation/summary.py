"""Every measure of a benchmark, and how it is read off what was found."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import numpy as np

from bacl.evaluation.conditions import AREA_RANGES
from bacl.evaluation.curves import Curves
from bacl.evaluation.groups import Grouping
from bacl.evaluation.judging import Judgement
from bacl.evaluation.measures import Detail, Measure
from bacl.evaluation.right_label import RightLabels
from bacl.evaluation.rules import Rules

Reading = Callable[[Judgement], float]
LabelReading = Callable[[RightLabels], float]
Read = TypeVar("Read")
SIZES = {area[0]: area for area in AREA_RANGES if area != "all"}


def summary(rules: Rules, grouping: Grouping) -> dict[Measure, Reading]:
    """The measures of boxes or of masks in the order of results.json; another one is a line here.

    Raises:
        ValueError: two measures would have one name, as of a group that is called "50".
    """
    measures = [*_benchmarks_own(rules, grouping), *_by_other_limits(rules, grouping)]
    names = Counter(measure.name for measure, _ in measures)
    if twice := [name for name, count in names.items() if count > 1]:
        raise ValueError(f"groups: the measures {twice} are not new names")
    return dict(measures)


def _benchmarks_own(rules: Rules, grouping: Grouping) -> list[tuple[Measure, Reading]]:
    """Those that the benchmark itself names."""
    ap, ar, best = Curves.average_precision, Curves.average_recall, f"@{rules.max_detections}"
    groups = grouping.groups
    official: list[tuple[Measure, Callable[[Curves], float]]] = [
        (Measure("AP", "AP", "main"), ap),
        (Measure("AP50", "AP50", "more"), partial(ap, iou=0.5)),
        (Measure("AP75", "AP75", "all"), partial(ap, iou=0.75)),
        *((Measure(f"AP{s}", f"AP_{s}", "none"), partial(ap, area=SIZES[s])) for s in SIZES),
        *((group.measure, partial(ap, categories=group.members)) for group in groups),
        (Measure(f"AR{best}", "AR", "all"), ar),
        *((Measure(f"AR{s}{best}", f"AR_{s}", "none"), partial(ar, area=SIZES[s])) for s in SIZES),
    ]
    return [(measure, partial(_official, of)) for measure, of in official]


def _by_other_limits(rules: Rules, grouping: Grouping) -> Iterator[tuple[Measure, Reading]]:
    """Average precision with other detections than the benchmark's limit leaves, or pooled."""
    members = _members(grouping)
    if limit := rules.fitting_limit(grouping.num_categories):
        readings = [partial(_fitting, own) for own in members]
        yield from _family(f"AP@{limit}", f"AP@{limit}", ("all", "all"), grouping, readings)
    readings = [partial(_pool, position) for position in range(len(members))]
    yield from _family("AP_pool", "AP_pool", ("all", "none"), grouping, readings)
    readings = [partial(_fixed, own) for own in members]
    yield from _family("AP_fixed", "AP_fixed", ("all", "none"), grouping, readings)


def label_summary(grouping: Grouping) -> dict[Measure, LabelReading]:
    """The measures of boxes that compare categories with each other, after the others."""
    shares = [partial(RightLabels.share, members=own) for own in _members(grouping)]
    return dict(_family("right_label", "right label", ("main", "main"), grouping, shares))


def boundary_summary(grouping: Grouping) -> dict[Measure, Reading]:
    """The measures of masks by their outlines, read off what was judged by `boundary_overlap`."""
    precisions = [partial(Curves.average_precision, categories=own) for own in _members(grouping)]
    readings = [partial(_official, each) for each in precisions]
    found = _family("AP_boundary", "AP_boundary", ("all", "none"), grouping, readings)
    return {measure.as_masks(): reading for measure, reading in found}


def _members(grouping: Grouping) -> list[np.ndarray | None]:
    """Of all categories, None; then those of each group, (C,) bool."""
    return [None, *(group.members for group in grouping.groups)]


def _family(
    name: str,
    title: str,
    details: tuple[Detail, Detail],
    grouping: Grouping,
    readings: Sequence[Read],
) -> list[tuple[Measure, Read]]:
    """A measure of all categories, and the same of each group; details are of the one, the others.

    Args:
        name: of all categories; a group's has its key after it.
        title: likewise.
        details: of all categories; of the groups.
        grouping: the groups.
        readings: of all categories, then of each group.
    """
    keys = [group.key for group in grouping.groups]
    measures = [Measure(f"{name}_{k}", f"{title}_{k}", details[1], k) for k in keys]
    return list(zip([Measure(name, title, details[0]), *measures], readings, strict=True))


def _official(reading: Callable[[Curves], float], found: Judgement) -> float:
    return reading(found.curves)


def _fitting(members: np.ndarray | None, found: Judgement) -> float:
    return -1.0 if found.fitting is None else found.fitting.average_precision(members)


def _fixed(members: np.ndarray | None, found: Judgement) -> float:
    return found.fixed.average_precision(members)


def _pool(position: int, found: Judgement) -> float:
    return found.pool.average_precision(np.array([position]))
