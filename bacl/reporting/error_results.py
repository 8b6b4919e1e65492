"""What went wrong with every head, and the files with all of it; see `error_tables` for words."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from bacl.evaluation.errors.category_confusion import UNJUDGED, Confusion, confusion
from bacl.evaluation.errors.detection_kinds import DetectionKind, words
from bacl.evaluation.errors.error_findings import ErrorFindings
from bacl.evaluation.errors.error_rates import JUDGED_KINDS, KINDS, ErrorRate, Rates, error_rates
from bacl.evaluation.errors.object_fates import NONE, ObjectFate
from bacl.evaluation.evaluation import Evaluation
from bacl.evaluation.groups import Grouping
from bacl.files.atomic import replacing
from bacl.reporting.spreadsheet import write_csv

ABSENT = {UNJUDGED: "unjudged", NONE: "none"}
"""What stands in confusion.csv in place of a detected category, with no id beside it."""
ALL = "all"
"""In errors.json the key of all categories together."""


@dataclass(frozen=True, eq=False)
class ErrorResults:
    """Of the heads of a run, the first of which is the reference."""

    findings: Mapping[str, ErrorFindings]
    grouping: Grouping
    names: Sequence[str]
    """Of the C categories."""

    @classmethod
    def of(cls, evaluations: Mapping[str, Evaluation], names: Sequence[str]) -> Self | None:
        """None where errors were not looked at."""
        found = {name: e.errors for name, e in evaluations.items() if e.errors is not None}
        if len(found) < len(evaluations):
            return None
        return cls(found, next(iter(evaluations.values())).grouping, names)

    @cached_property
    def rates(self) -> dict[str, Rates]:
        """By head; see `error_rates`."""
        return error_rates(self.findings, self.grouping)

    @cached_property
    def confusions(self) -> dict[str, Confusion]:
        """By head."""
        number = len(self.names)
        return {name: confusion(each.objects, number) for name, each in self.findings.items()}

    @property
    def contrasted(self) -> list[str]:
        """The reference and, of the other heads, that with the most right objects of all groups.

        Groups count alike; the first of equals.
        """
        first, *others = self.rates
        keys = [group.key for group in self.grouping.groups]
        right = {name: [self.rates[name][key][0].value for key in keys] for name in others}
        best = sorted(others, key=lambda name: -np.nanmean([*right[name], 0.0]))
        return [first, *best[:1]]

    @property
    def members(self) -> dict[str, np.ndarray | None]:
        """The groups by key; None: all categories."""
        return {ALL: None} | {group.key: group.members for group in self.grouping.groups}

    @property
    def mended(self) -> list[str]:
        """The kinds of errors that have a cost."""
        return [*next(iter(self.findings.values())).parts.mended]

    def write(self, folder: Path, category_ids: np.ndarray) -> None:
        """Write errors.csv, errors.json and confusion.csv, each whole or not at all.

        errors.csv has a line for each head and category: how many of its objects had which fate
        (`ObjectFate`), how many of its detections at the threshold are of which kind
        (`DetectionKind`), its AP50 and what that gains by mending (empty without objects).
        errors.json has, by head: `threshold`, `unjudged` (detections); `rates` by group key ("all"
        for all) and kind ("object right", "detection duplicate", …): `value`, and where another
        head is the reference `difference`, `error`, `sure`; `AP50` and `costs` by group key, the
        latter by kind. confusion.csv has a line for each pair of categories that occurs: how many
        objects of one are called by the other, and their share. A detected category without id is
        `unjudged` or `none` (no detection). Shares are in [0, 1].

        Raises:
            UnwritableError: names the file and what is to be done.
        """
        ids = np.asarray(category_ids).tolist()
        write_csv(folder / "errors.csv", self._category_lines(ids))
        write_csv(folder / "confusion.csv", self._confusion_lines(ids))
        with replacing(folder / "errors.json") as path:
            told = {name: self._summary(name) for name in self.findings}
            path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")

    def _summary(self, head: str) -> dict[str, Any]:
        found, members = self.findings[head], self.members.items()
        parts = found.parts
        return {
            "threshold": _finite(found.threshold),
            "unjudged": int(found.unjudged.sum()),
            "rates": {
                key or ALL: dict(zip(map(_title, KINDS), map(_plain, own), strict=True))
                for key, own in self.rates[head].items()
            },
            "AP50": {key: _finite(parts.mean(own)) for key, own in members},
            "costs": {
                key: {kind: _finite(parts.cost(kind, own)) for kind in self.mended}
                for key, own in members
            },
        }

    def _category_lines(self, ids: Sequence[int]) -> Iterator[list[object]]:
        yield [
            "head", "id", "name", "group", "objects",
            *(_title(kind) for kind in (*ObjectFate, *DetectionKind)),
            "AP50", *(f"AP50 gained by mending {kind}" for kind in self.mended),
        ]  # fmt: skip
        keys, size = self.grouping.keys.tolist(), len(self.names)
        for head, found in self.findings.items():
            counts, shares = _of_categories(found, size)
            for label, name in enumerate(self.names):
                own = [int(counts[label, : len(ObjectFate)].sum()), *counts[label].tolist()]
                yield [head, ids[label], name, keys[label], *own, *map(_share, shares[label])]

    def _confusion_lines(self, ids: Sequence[int]) -> Iterator[list[object]]:
        yield ["head", "annotated_id", "annotated", "detected_id", "detected", "count", "share"]
        for head, found in self.confusions.items():
            columns = (found.annotated, found.detected, found.counts, found.shares)
            rows = zip(*(column.tolist() for column in columns), strict=True)
            for own, other, count, share in rows:
                called = [ids[other], self.names[other]] if other >= 0 else ["", ABSENT[other]]
                yield [head, ids[own], self.names[own], *called, count, _share(share)]


def _of_categories(found: ErrorFindings, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts (C, ·) int64 of fates and kinds; AP50 and gains (C, ·), NaN without objects."""
    fates = _table(found.objects.labels, found.objects.fates, size, len(ObjectFate))
    kinds = _table(found.shown.labels, found.shown.kinds, size, len(JUDGED_KINDS))
    before = np.where(found.parts.precision >= 0, found.parts.precision, np.nan)
    gains = [after - before for after in found.parts.mended.values()]
    counts = np.concatenate([fates, kinds, found.unjudged[:, None]], axis=1)
    return counts, np.stack([before, *gains], axis=1)


def _table(labels: np.ndarray, kinds: np.ndarray, categories: int, width: int) -> np.ndarray:
    """(C, width) int64: how often each kind occurs of each category."""
    cells = labels * width + kinds
    return np.bincount(cells, minlength=categories * width).reshape(categories, width)


def _title(kind: IntEnum) -> str:
    """Among those of objects and of detections.

    >>> _title(ObjectFate.WRONG_CATEGORY)
    'object wrong category'
    """
    what = "object" if isinstance(kind, ObjectFate) else "detection"
    return f"{what} {words(kind)}"


def _plain(rate: ErrorRate) -> dict[str, float | bool | None]:
    told: dict[str, float | bool | None] = {"value": _finite(rate.value)}
    if rate.difference is not None:
        told["difference"] = _finite(rate.difference.value)
        told |= {"error": _finite(rate.difference.error), "sure": rate.difference.sure}
    return told


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _share(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"
