"""Thresholds of scores in a final.ckpt: plain values, chosen by the validation images."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bacl.checkpoints.handover import THRESHOLDS, load_stage
from bacl.files.saving import save
from bacl.options.ranges import ThresholdKind


@dataclass(frozen=True)
class ScoreThresholds:
    """Of a head; a detection is taken from its category's threshold on. C: categories."""

    objective: str
    """What they are best for, in words."""
    of_all: float
    """In [0, 1]."""
    per_group: list[float]
    """C, that of the category's group."""
    per_category: list[float]
    """C; of a category that could not be decided its group's, or that of all."""

    def of(self, kind: ThresholdKind) -> list[float]:
        """C thresholds."""
        same = [self.of_all] * len(self.per_category)
        kinds = {"global": same, "per_group": self.per_group, "per_category": self.per_category}
        return kinds[kind]

    def plain(self) -> dict[str, Any]:
        """For a file."""
        return {
            "objective": self.objective,
            "global": self.of_all,
            "per_group": self.per_group,
            "per_category": self.per_category,
        }

    @classmethod
    def of_plain(cls, saved: Mapping[str, Any]) -> "ScoreThresholds":
        """From a file whose structure was checked."""
        return cls(saved["objective"], saved["global"], saved["per_group"], saved["per_category"])


def saved_thresholds(content: Mapping[str, Any]) -> dict[str, ScoreThresholds]:
    """By head, of a checkpoint; none where it was written without."""
    return {
        name: ScoreThresholds.of_plain(each) for name, each in content.get(THRESHOLDS, {}).items()
    }


def add_thresholds(path: Path, thresholds: Mapping[str, ScoreThresholds]) -> None:
    """Write thresholds into a final.ckpt, as a whole or not at all; others in it are replaced.

    Raises:
        CheckpointError: there is no such file, or it is damaged.
    """
    content = load_stage(path)
    if saved_thresholds(content) != thresholds:
        save(content | {THRESHOLDS: {n: each.plain() for n, each in thresholds.items()}}, path)
