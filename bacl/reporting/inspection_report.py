"""What an inspection of data found, as a value that tables, files and pictures read."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bacl.files.atomic import replacing
from bacl.inspection.advice import Advice
from bacl.inspection.category_counts import (
    category_rows,
    imbalance,
    seen_together,
    split_counts,
)
from bacl.inspection.finding import Finding, Severity
from bacl.inspection.inspected import Inspected
from bacl.inspection.view_sizes import view_sizes
from bacl.speed.step_times import StepTimes

LAYOUT = 1
"""Number of the layout of `data.json`: raised where a field changes its meaning."""


@dataclass(frozen=True)
class InspectionReport:
    """Of the data of a configuration."""

    name: str
    """Of the data."""
    data: Inspected
    findings: Sequence[Finding]
    """The gravest first."""
    advice: Sequence[Advice]
    command: str
    """To train with the preset."""
    steps: Sequence[StepTimes]
    """Of the stages that were timed."""
    untimed: Sequence[str]
    """Why others were not."""
    examples: int
    """Places of a finding that are told."""

    @property
    def headline(self) -> str:
        """How much was found, in a line."""
        return headline(self.findings)

    @cached_property
    def categories(self) -> list[dict[str, Any]]:
        """A row for each category, see `category_rows`."""
        return category_rows(self.data)

    @cached_property
    def splits(self) -> dict[str, dict[str, Any]]:
        """Numbers of each split, see `split_counts`."""
        return {split.name: split_counts(split) for split in self.data.splits}

    @cached_property
    def views(self) -> list[dict[str, Any]]:
        """Sizes in each stage and in the evaluation, see `view_sizes`."""
        return [view_sizes(view, self.data.anchors) for view in self.data.views]

    @cached_property
    def imbalance(self) -> dict[str, float]:
        """Largest over smallest category of the training file, in images and in objects."""
        table = self.data.train.table
        counts = {"images": table.image_counts, "objects": table.instance_counts}
        return {key: imbalance(np.asarray(each)) for key, each in counts.items()}

    @cached_property
    def together(self) -> list[dict[str, Any]]:
        """Pairs of categories that share most training images, see `seen_together`."""
        return seen_together(self.data.train)

    def content(self) -> dict[str, Any]:
        """Everything, as docs/data.md describes it."""
        anchors = self.data.anchors
        return {
            "layout": LAYOUT,
            "data": self.name,
            "splits": self.splits,
            "categories": self.categories,
            "imbalance": self.imbalance,
            "seen_together": self.together,
            "views": self.views,
            "anchors": anchors
            and {"sides": anchors.sides.tolist(), "strides": anchors.strides.tolist()},
            "findings": [_plain(finding) for finding in self.findings],
            "preset": {"command": self.command, "parts": [asdict(each) for each in self.advice]},
            "steps": [asdict(each) | {"hours": each.hours} for each in self.steps],
            "not_timed": list(self.untimed),
        }

    def write_json(self, path: Path, **more: Any) -> None:
        """Write everything, and what is handed over beside it, as a whole or not at all."""
        with replacing(path) as temporary:
            text = json.dumps(self.content() | more, indent=1)
            temporary.write_text(text + "\n", encoding="utf-8")


def headline(findings: Sequence[Finding]) -> str:
    """How many findings there are of each severity.

    >>> headline([])
    '0 errors, 0 warnings, 0 notes'
    """
    counts = Counter(finding.fault.severity for finding in findings)
    return ", ".join(
        f"{counts[severity]} {severity}{'' if counts[severity] == 1 else 's'}"
        for severity in Severity
    )


def _plain(finding: Finding) -> dict[str, Any]:
    return {
        **asdict(finding.fault),
        "split": finding.split,
        "count": finding.count,
        "total": finding.total,
        "names": finding.names,
        "places": [[asdict(place) for place in places] for places in finding.places],
    }
