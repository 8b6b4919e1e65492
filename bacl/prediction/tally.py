"""What was found, in a line for each head."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import torch

from bacl.messages.shown import visible
from bacl.prediction.output import Predicted

SHOWN = 5
"""Categories that a line names."""


class Tally:
    """Counts detections that were taken, and remembers the best one.

    Args:
        heads: names.
        names: of the categories, by label.
        taken: by what detections are taken, in words.
    """

    def __init__(self, heads: Sequence[str], names: Sequence[str], taken: str) -> None:
        self._names, self._taken = names, taken
        self._counts: dict[str, Counter[int]] = {head: Counter() for head in heads}
        self._found_in = dict.fromkeys(heads, 0)
        self._best: dict[str, tuple[float, int, str]] = {}
        self._pictures = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *rest: object) -> None:
        """It has no files."""

    def write(self, batch: Predicted) -> None:
        """Count a batch."""
        self._pictures += len(batch.targets)
        for head, accepted in batch.accepted.items():
            labels = torch.cat([each.labels for each in accepted])
            self._counts[head].update(labels.tolist())
            self._found_in[head] += sum(len(each.labels) > 0 for each in accepted)
            for named, found in zip(batch.named, batch.detections[head], strict=True):
                if len(found.scores):
                    own = float(found.scores[0]), int(found.labels[0]), named.name
                    self._best[head] = max(self._best.get(head, own), own)

    def files(self, batch: Predicted) -> Sequence[Path]:
        """It has no files."""
        return []

    def lines(self, unit: str) -> Iterator[str]:
        """Lines for all heads.

        Args:
            unit: what was looked at, in the plural.
        """
        for head, counts in self._counts.items():
            yield f"{head}: {self._told(counts, head, unit)}"

    def _told(self, counts: Counter[int], head: str, unit: str) -> str:
        if not counts:
            return f"no detection {self._taken} in {self._pictures} {unit}; {self._lack(head)}"
        best = [f"{visible(self._names[x])} {count}" for x, count in counts.most_common(SHOWN)]
        more = f" and {len(counts) - SHOWN} more categories" if len(counts) > SHOWN else ""
        return (
            f"{counts.total()} detections {self._taken} in {self._found_in[head]} of "
            f"{self._pictures} {unit}: {', '.join(best)}{more}"
        )

    def _lack(self, head: str) -> str:
        if head not in self._best:
            return "the model found nothing at all"
        score, label, name = self._best[head]
        return (
            f"the best is {visible(self._names[label])} {score:.2g} in {visible(name)}. Either "
            f"these show none of the {len(self._names)} categories that it was trained on "
            "(images.json lists them), or predict.score_threshold is too high"
        )
