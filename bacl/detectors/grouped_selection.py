"""Non-maximum suppression of proposals by group of categories (Forest R-CNN; Wu et al., 2020).

P: proposals of a level of an image. G: its objects. C: foreground classes.
"""

from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torchvision.ops import nms

from bacl.data.batch import Target
from bacl.detectors.boxes import pairwise_iou
from bacl.detectors.proposals import ProposalSelection
from bacl.options.ranges import Count, NotNegative, PositiveShare

GROUPS = "rcf"


class FrequencyGroups(Protocol):
    """What is known of the categories: `CategoryStatistics` has it."""

    @property
    def frequency(self) -> Any:
        """(C,) r, c or f."""


class GroupedSelection(ProposalSelection, nn.Module):
    """A selection for training that drops fewer of the proposals that lie on rare categories.

    A proposal belongs to the group of the object that it overlaps most, if by `overlap` or more,
    and to background otherwise. Each group is suppressed by itself, at an IoU of its own (of the
    published thresholds the "discrete" ones).

    Args:
        per_level: see `ProposalSelection`, as for the next two.
        total: proposals of an image.
        nms_iou: of background.
        rare: of proposals on categories of few images, as for the next two.
        common: of more.
        frequent: of many.
        overlap: with an object.
        statistics: of the training annotations: frequency groups.
        min_side: see `ProposalSelection`.
    """

    groups: Tensor
    """(C,) int64: the place of each class's group in `GROUPS`."""

    def __init__(
        self,
        per_level: Count,
        total: Count,
        nms_iou: PositiveShare,
        rare: PositiveShare,
        common: PositiveShare,
        frequent: PositiveShare,
        overlap: PositiveShare,
        statistics: FrequencyGroups,
        min_side: NotNegative = 0.0,
    ) -> None:
        nn.Module.__init__(self)
        ProposalSelection.__init__(self, per_level, total, nms_iou, min_side)
        self.limits = rare, common, frequent, nms_iou
        self.overlap = overlap
        groups = [GROUPS.index(letter) for letter in statistics.frequency]
        self.register_buffer("groups", torch.tensor(groups), persistent=False)

    def kept(self, boxes: Tensor, scores: Tensor, target: Target | None) -> Tensor:
        """See `ProposalSelection.kept`."""
        if target is None:
            return super().kept(boxes, scores, target)
        own = self.groups_of(boxes, target)
        kept = []
        for group, limit in enumerate(self.limits):
            index = (own == group).nonzero().squeeze(1)
            kept.append(index[nms(boxes[index], scores[index], limit)])
        return torch.cat(kept)

    def together(self, boxes: Tensor, levels: int) -> bool:
        """Never: the groups of an image's proposals go by its objects."""
        return False

    def groups_of(self, boxes: Tensor, target: Target) -> Tensor:
        """(P,) int64 of boxes (P, 4): places in `GROUPS`, and their number for background."""
        background = torch.full((len(boxes),), len(GROUPS), device=boxes.device)
        if len(target.boxes) == 0:
            return background
        best, match = pairwise_iou(target.boxes, boxes).max(dim=0)
        own = self.groups[target.labels[match]]
        return torch.where(best >= self.overlap, own, background)
