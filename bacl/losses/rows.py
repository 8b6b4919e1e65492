"""What a loss may look at beside logits and labels.

R: rows, those of the sampled RoIs first, then those that were added. D: width of an RoI feature.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from bacl.detectors.levels import TrainingLevel
from bacl.indicators import Foreground


@dataclass(slots=True, eq=False)
class Rows:
    """The rows of one training step, for losses that say `reads_rows`."""

    features: Tensor
    """(R, D), what the predictor made logits of."""
    predictor: nn.Module
    """Made the logits; a loss may read its weights, and changes nothing of it."""
    level: TrainingLevel
    """Of the sampled RoIs: its rows are the first of R."""
    added: int
    """How many of the last rows were added to those of the sampled RoIs; R where only added ones
    are judged."""
    added_classes: int | None = None
    """Of the added rows at most; None where that may be any number."""
    _foreground: Foreground | None = field(default=None, init=False, repr=False)

    def foreground(self, labels: Tensor, num_classes: int) -> Foreground:
        """The rows that have a class, found without waiting for the device, once.

        Args:
            labels: (R,) int64 in [0, C], of these rows.
            num_classes: C.
        """
        if self._foreground is None:
            self._foreground = self.foregrounds(labels.unsqueeze(0), num_classes)
        return self._foreground

    def foregrounds(self, labels: Tensor, num_classes: int) -> Foreground:
        """The same of H heads with labels (H, R), which have added as many rows each."""
        rows = self.level.once((Rows, len(self.features), self.added), self._with_class)
        added = self.added if self.added_classes is None else self.added_classes
        at_most = min(len(rows), added + sum(len(each.boxes) for each in self.level.targets))
        return Foreground.of(rows, labels[:, rows], num_classes, at_most)

    def _with_class(self) -> Tensor:
        """(P,) int64: the foreground rows; added ones are."""
        sampled = len(self.features) - self.added
        added = torch.arange(sampled, len(self.features), device=self.features.device)
        return torch.cat((self.level.rois.foreground, added)) if sampled else added

    def own_boxes(self, num_classes: int) -> Tensor:
        """(P,) int64: the level's rows whose box is an object's own, one at most for each object.

        Args:
            num_classes: C, the label of background.
        """

        def found() -> Tensor:
            own = self.level.rois.added & (self.level.labels < num_classes)
            return own.nonzero().squeeze(1)

        return self.level.once((Rows, num_classes), found)
