"""Balanced group softmax (BAGS; Li et al., CVPR 2020): classes compete with equally frequent ones.

G: groups of classes.
"""

from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Len
from torch import Tensor
from torch.nn import functional

from bacl.detectors.full_precision import in_float32
from bacl.indicators import Counts, LongTermIndicator, counts_of
from bacl.losses.drawing import DrawingLoss
from bacl.options.ranges import Ascending, Classes, Count, NotNegative, Seed


class BAGS(DrawingLoss):
    """A softmax for each group of classes of similar numbers of instances, and one of objects.

    K = C + 2 + G: the foreground classes, then background and object, then "others" of each group.
    Background and object compete in all rows. The classes of a group compete with its "others",
    which is the label of all rows of other groups and of background. For m rows of a group's own
    classes `others` m of those rows, rounded down, are drawn, or all where there are fewer: each
    process draws among its own rows, and a group without rows of its own learns nothing in a step.

    Args:
        num_classes: C.
        boundaries: instances from which on a class is of the next group, ascending: G is one more.
        others: drawn rows of label "others" for each row of a group's classes.
        statistics: of the training annotations: counts of instances.
        seed: of the draws.
        indicator: see `ClassificationLoss`.

    Raises:
        ValueError: the statistics count other classes.
    """

    groups: Tensor
    """(C,) int64 in [0, G)."""

    def __init__(
        self,
        num_classes: Classes,
        boundaries: Annotated[Sequence[Count], Len(1, 20), Ascending],
        others: NotNegative,
        statistics: Counts,
        seed: Seed,
        indicator: LongTermIndicator | None = None,
    ) -> None:
        super().__init__(num_classes, indicator)
        self.num_groups = len(boundaries) + 1
        self.others = others
        self.seed = seed
        instances = counts_of(statistics, "instance_counts", num_classes)
        above = instances.unsqueeze(1) >= torch.as_tensor(boundaries)
        self.register_buffer("groups", above.sum(dim=1))

    @property
    def num_logits(self) -> int:
        """K = C + 2 + G."""
        return self.num_classes + 2 + self.num_groups

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of logits (R, K): each softmax's loss, summed over its rows and divided by these."""
        classes, objects, others = self._split(logits)
        foreground = (labels < self.num_classes).long()
        numbers = torch.arange(self.num_groups, device=labels.device)
        inside = self._groups_of(labels).unsqueeze(1) == numbers
        own = classes.gather(1, labels.clamp(max=self.num_classes - 1).unsqueeze(1))
        losses = self._log_sums(classes, others) - torch.where(inside, own, others)
        kept = self.kept(inside, self.uniform((self.num_groups, len(labels)), labels.device))
        by_group = (losses * kept).sum(dim=0) / kept.sum(dim=0).clamp(min=1)
        total = functional.cross_entropy(objects, foreground, reduction="sum")
        return total / max(1, len(labels)) + by_group.sum()

    def kept(self, inside: Tensor, draws: Tensor) -> Tensor:
        """Which rows each group learns from, (R, G) bool.

        Args:
            inside: (R, G) bool, the rows of the group's own classes.
            draws: (G, R) in [0, 1): of the other rows those with the smallest are kept.
        """
        places = draws.t().masked_fill(inside, 2.0).argsort(dim=0).argsort(dim=0)
        wanted = (self.others * inside.sum(dim=0).double()).floor()
        return inside | (places < wanted)

    def probabilities(self, logits: Tensor) -> Tensor:
        """That of an object times the class's within its group; background's own."""
        classes, objects, others = self._split(logits)
        within = (classes - self._log_sums(classes, others)[:, self.groups]).exp()
        background, foreground = objects.softmax(dim=1).split(1, dim=1)
        return torch.cat([within * foreground, background], dim=1)

    def _groups_of(self, labels: Tensor) -> Tensor:
        """(R,) int64; G for background."""
        return functional.pad(self.groups, (0, 1), value=self.num_groups)[labels]

    def _log_sums(self, classes: Tensor, others: Tensor) -> Tensor:
        """(R, G), the logarithm of what each group's softmax divides by; G is a handful."""
        competing = [
            torch.cat([classes.masked_fill(self.groups != group, -torch.inf), other], dim=1)
            for group, other in enumerate(others.split(1, dim=1))
        ]
        return torch.stack([each.logsumexp(dim=1) for each in competing], dim=1)

    def _split(self, logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Foreground classes (R, C), background and object (R, 2), others (R, G)."""
        sizes = [self.num_classes, 2, self.num_groups]
        classes, objects, others = in_float32(logits).split(sizes, dim=1)
        return classes, objects, others
