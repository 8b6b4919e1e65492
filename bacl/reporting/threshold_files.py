"""Thresholds of scores, and how far scores can be believed, as files."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bacl.evaluation.thresholds.choosing import Flag, Thresholds
from bacl.evaluation.thresholds.operating_points import OperatingPoints
from bacl.files.atomic import replacing
from bacl.reporting.threshold_lines import Evaluations, operating_points

COLUMNS = (
    *("head", "id", "name", "group", "threshold", "of", "flag"),
    *("precision", "recall", "f1", "objects", "detections"),
)


def threshold_rows(
    evaluations: Evaluations, ids: Sequence[int], names: Sequence[str]
) -> Iterator[list[object]]:
    """Lines of thresholds.csv: one for each variant and category.

    Precision, recall and F1 are cross-fitted; objects, and the judged detections from the threshold
    on, are of all images.
    """
    yield list(COLUMNS)
    for head, points in operating_points(evaluations).items():
        chosen, fitted = points.thresholds, points.fine.per_category
        numbers = [
            [_cell(v) for v in each] for each in (fitted.precision, fitted.recall, fitted.f1)
        ]
        kept = points.taken.found + points.taken.false
        for label, key in enumerate(points.grouping.keys.tolist()):
            yield [
                head, ids[label], names[label], key, f"{chosen.per_category[label]:.6g}",
                _origin(chosen, label), Flag(chosen.flags[label]).words,
                *(column[label] for column in numbers),
                int(points.taken.objects[label]), int(kept[label]),
            ]  # fmt: skip


def write_thresholds(path: Path, evaluations: Evaluations) -> None:
    """thresholds.json: by variant thresholds of all and of groups, and what is to be expected."""
    found = {name: _numbers(each) for name, each in operating_points(evaluations).items()}
    _write_json(path, found)


def write_reliability(path: Path, evaluations: Evaluations) -> None:
    """reliability.json: by variant and group the calibration error and its bins."""
    found = {
        name: {
            key: {
                "calibration_error": _number(own.error), "excess": own.excess,
                "scores": own.scores.tolist(), "right": own.right.tolist(),
                "detections": own.counts.tolist(),
            }
            for key, own in each.reliabilities.items()
        }
        for name, each in evaluations.items()
        if each.reliabilities is not None
    }  # fmt: skip
    _write_json(path, found)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _numbers(points: OperatingPoints) -> dict[str, Any]:
    chosen, keys = points.thresholds, ["all", *(g.key for g in points.grouping.groups)]
    fitted = {}
    for choice, each in points.fitted.items():
        outcome, errors = each.of_groups(points.grouping), points.errors[choice]
        columns = [outcome.f1, errors, outcome.precision, outcome.recall, outcome.objects]
        names = ("f1", "standard_error", "precision", "recall", "objects")
        fitted[choice] = {
            key: dict(zip(names, map(_number, row), strict=True))
            for key, row in zip(keys, np.column_stack(columns).tolist(), strict=True)
        }
    return {
        "objective": points.objective,
        "global": chosen.of_all,
        "groups": {g.key: float(chosen.per_group[g.members][0]) for g in points.grouping.present},
        "categories_with_own": int(chosen.own.sum()),
        "cross_fitted": fitted,
    }


def _origin(chosen: Thresholds, label: int) -> str:
    """Whose threshold it is."""
    return "category" if chosen.own[label] else "group" if chosen.in_decided_group[label] else "all"


def _cell(share: float) -> str:
    return "" if math.isnan(share) else f"{share:.6g}"


def _number(value: float) -> float | None:
    return None if math.isnan(value) or value < 0 else value
