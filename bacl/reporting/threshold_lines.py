"""Thresholds of scores, and how far scores can be believed, as tables in Markdown."""

import math
from collections.abc import Mapping, Sequence

from bacl.evaluation.evaluation import Evaluation
from bacl.evaluation.groups import Grouping
from bacl.evaluation.thresholds.operating_points import OperatingPoints
from bacl.messages.shown import as_markdown, shown

EXPLANATION = (
    "A detection is taken from its threshold on, and right at an IoU of at least 0.5; numbers of a "
    "group are of all its detections and objects together. Thresholds were chosen by half of the "
    "images and judged by the other half, for {objective}; those in thresholds.csv are by all "
    "images. ± is one standard error, by bootstrap over images."
)
RELIABILITY = (
    "Calibration error: mean distance between scores and the share of right detections in 15 bins "
    "of as many detections each; in brackets the mean score less the share of right ones."
)
Evaluations = Mapping[str, Evaluation]


def operating_points(evaluations: Evaluations) -> dict[str, OperatingPoints]:
    """Those of the variants for which thresholds were chosen."""
    found = {name: each.operating_points for name, each in evaluations.items()}
    return {name: each for name, each in found.items() if each is not None}


def threshold_lines(evaluations: Evaluations) -> list[str]:
    """A section with F1, precision and recall at four choices of thresholds, if there are any."""
    points = operating_points(evaluations)
    if not points:
        return []
    first = next(iter(points.values()))
    titles = _head(["head", "thresholds"], first.grouping, "F1 (precision / recall)")
    lines = ["## Thresholds", "", *titles]
    for name, each in points.items():
        for choice in each.fitted:
            cells = " | ".join([as_markdown(shown(name)), choice, *_cells(each, choice)])
            lines.append(f"| {cells} |")
    return [*lines, "", f"- {EXPLANATION.format(objective=first.objective)}"]


def reliability_lines(evaluations: Evaluations) -> list[str]:
    """A section with calibration errors; none where scores were not looked at."""
    known = {name: each for name, each in evaluations.items() if each.reliabilities is not None}
    if not known:
        return []
    titles = _head(["head"], next(iter(known.values())).grouping, "calibration error")
    lines = ["## Whether scores are probabilities", "", *titles]
    for name, each in known.items():
        assert each.reliabilities is not None
        cells = [
            f"{100 * own.error:.1f} ({100 * own.excess:+.1f})" if own.error >= 0 else "–"
            for own in each.reliabilities.values()
        ]
        lines.append("| " + " | ".join([as_markdown(shown(name)), *cells]) + " |")
    return [*lines, "", f"- {RELIABILITY}"]


def _cells(points: OperatingPoints, choice: str) -> list[str]:
    outcome, errors = points.fitted[choice].of_groups(points.grouping), points.errors[choice]
    rows = zip(outcome.f1, errors, outcome.precision, outcome.recall, strict=True)
    return [
        f"{_percent(f1)}{'' if math.isnan(error) else f' ± {100 * error:.1f}'} "
        f"({_percent(precision)} / {_percent(recall)})"
        for f1, error, precision, recall in rows
    ]


def _head(titles: Sequence[str], grouping: Grouping, measure: str) -> list[str]:
    columns = [f"{measure}, all", *(as_markdown(group.name) for group in grouping.groups)]
    return [
        "| " + " | ".join([*titles, *columns]) + " |",
        "|---" * len(titles) + "|" + "---:|" * len(columns),
    ]


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.1f}"
