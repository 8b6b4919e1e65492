"""Heads as curves over a shift of scores, in words and as a file."""

import math
from collections.abc import Iterator, Mapping

from bacl.evaluation.curve_comparison import areas, front, gain
from bacl.evaluation.evaluation import Evaluation
from bacl.evaluation.shift_curve import ShiftCurve
from bacl.messages.shown import as_markdown, shown
from bacl.reporting.head_rows import compared


def shift_curves(evaluations: Mapping[str, Evaluation]) -> dict[str, ShiftCurve]:
    """Those of all heads; none where the data have objects of one group alone."""
    found = {name: each.shift for name, each in evaluations.items() if each.shift is not None}
    return found if all(curve.ends for curve in found.values()) else {}


def shift_lines(curves: Mapping[str, ShiftCurve]) -> list[str]:
    """A sentence in Markdown for each head but the first, which they are compared with."""
    if len(curves) < 2:
        return []
    reference, *others = curves
    under = areas({name: front(curve) for name, curve in curves.items()})
    return [_line(curves, name, reference, under) for name in others]


def _line(
    curves: Mapping[str, ShiftCurve], name: str, reference: str, under: Mapping[str, float]
) -> str:
    found, ends = gain(curves[name], curves[reference]), curves[reference].ends
    assert ends is not None
    cell = compared(100 * found.share, found.difference)
    head, other = (as_markdown(shown(each)) for each in (name, reference))
    text = (
        f"{head} against {other} with shifted scores: where both keep {100 * found.at:.1f} % of "
        f"the right labels of {ends[1].name}, it has {cell.value} % of {ends[0].name} against "
        f"{100 * found.reference:.1f} ({cell.marked})"
    )
    if math.isnan(under[name]):
        return text
    return (
        f"{text}; area under the curve {100 * under[name]:.1f} against {100 * under[reference]:.1f}"
    )


def curve_rows(curves: Mapping[str, ShiftCurve]) -> Iterator[list[object]]:
    """Lines of a CSV: head, power, and the share of all objects and of each group in [0, 1]."""
    groups = next(iter(curves.values())).grouping.groups
    yield ["head", "gamma", "right_label", *(f"right_label_{group.key}" for group in groups)]
    for name, curve in curves.items():
        for gamma, labels in zip(curve.gammas, curve.right_labels, strict=True):
            shares = [labels.share(), *(labels.share(group.members) for group in groups)]
            yield [name, gamma, *(f"{share:.6g}" if share >= 0 else "" for share in shares)]
