"""Every measure of a benchmark, and how it is read off the curves of boxes or of masks."""

from collections import Counter
from collections.abc import Callable
from functools import partial

from bacl.evaluation.groups import Grouping
from bacl.evaluation.measures import Measure
from bacl.evaluation.object_matching import AREA_RANGES
from bacl.evaluation.precision import Curves
from bacl.evaluation.rules import Rules

Reading = Callable[[Curves], float]
SIZES = {area[0]: area for area in AREA_RANGES if area != "all"}


def summary(rules: Rules, grouping: Grouping) -> dict[Measure, Reading]:
    """The measures in the order of results.json; another one is a line here.

    Raises:
        ValueError: two measures would have one name, as of a group that is called "50".
    """
    ap, ar, best = Curves.average_precision, Curves.average_recall, f"@{rules.max_detections}"
    measures: dict[Measure, Reading] = {
        Measure("AP", "AP", "main"): ap,
        Measure("AP50", "AP50", "more"): partial(ap, iou=0.5),
        Measure("AP75", "AP75", "all"): partial(ap, iou=0.75),
        **{Measure(f"AP{s}", f"AP_{s}", "none"): partial(ap, area=SIZES[s]) for s in SIZES},
        **{group.measure: partial(ap, categories=group.members) for group in grouping.groups},
        Measure(f"AR{best}", "AR", "all"): ar,
        **{Measure(f"AR{s}{best}", f"AR_{s}", "none"): partial(ar, area=SIZES[s]) for s in SIZES},
    }
    overall = [measure.name for measure in measures if measure.group is None]
    names = Counter([*overall, *(group.measure.name for group in grouping.groups)])
    if twice := [name for name, count in names.items() if count > 1]:
        raise ValueError(f"groups: the measures {twice} are not new names")
    return measures
