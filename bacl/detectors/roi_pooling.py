"""RoIs out of a feature pyramid.

R: RoIs of the batch, as rows (image index, x1, y1, x2, y2) in pixels of the network's input.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, starmap

import numpy as np
import torch
from torch import Tensor, nn

from bacl.detectors.cast_weights import precise
from bacl.detectors.roi_align import roi_align
from bacl.detectors.transfers import Awaited, sent
from bacl.messages.errors import OptionError
from bacl.options.ranges import Positive, SamplingRatio, Side, Strides


def with_image_index(boxes: Sequence[Tensor], joined: Tensor | None = None) -> Tensor:
    """RoIs (R, 5) float32 of boxes (·, 4) given per image, images in order.

    Args:
        boxes: of each image.
        joined: (R, 4), the same one after the other, where they are at hand.
    """
    owners = np.repeat(np.arange(len(boxes), dtype=np.float32), [len(image) for image in boxes])
    every = (torch.cat(list(boxes)) if joined is None else joined).float()
    return torch.cat((sent(owners[:, None], every.device), every), dim=1)


@dataclass(slots=True)
class Cuts:
    """RoIs, sorted by the pyramid level that each is taken from."""

    rois: Tensor
    """(R, 5), levels one after the other."""
    below: Callable[[], list[int]]
    """How many are taken from the first level, the first two, and so on."""
    back: Tensor
    """(R,) int64, from this order to that in which the RoIs were given."""


class RoIPooling(nn.Module):
    """RoIAlign on the pyramid level that suits a RoI's size (FPN 2017, Eq. 1).

    Args:
        side: of the pooled RoIs.
        strides: of the levels that RoIs are taken from, finest first, in pixels.
        finest_scale: RoIs with √area below twice this many pixels use the finest level.
        sampling_ratio: samples per bin and axis; 0 for as many as the bin covers cells.
        aligned: whether a cell's value stands for its centre (Mask R-CNN 2017), rather than for its
            upper left corner, with RoIs of one cell at least, as torchvision's detectors have it.
    """

    following: Tensor
    """(levels,) int64, the index after each level's."""

    def __init__(
        self,
        side: Side,
        strides: Strides,
        finest_scale: Positive,
        sampling_ratio: SamplingRatio = 0,
        aligned: bool = True,
    ) -> None:
        super().__init__()
        self.side = side
        self.strides = tuple(strides)
        following = torch.arange(1, len(self.strides) + 1)
        self.register_buffer("following", following, persistent=False)
        self.finest_scale = finest_scale
        self.sampling_ratio = sampling_ratio
        self.aligned = aligned

    def require_strides(self, strides: Sequence[int]) -> None:
        """Refuse a pyramid of which RoIs would be taken from levels that it has not.

        Raises:
            OptionError: the pyramid's `strides` do not begin with those of the pooling.
        """
        if self.strides != tuple(strides)[: len(self.strides)]:
            raise OptionError(
                f"pooling.strides={list(self.strides)}: the levels of the pyramid have "
                f"{list(strides)}, and RoIs are taken from the first of them"
            )

    def levels(self, rois: Tensor) -> Tensor:
        """Index of the level of each RoI, int64 (R,)."""
        width, height = (rois[:, 3:] - rois[:, 1:3]).unbind(1)
        level = ((width * height).sqrt() / self.finest_scale + 1e-6).log2()
        return level.clamp(0, len(self.strides) - 1).long()  # none is negative: cut off is floor

    def plan(self, rois: Tensor, awaited: Awaited) -> Cuts:
        """Sort RoIs (R, 5) by level; `awaited` fetches how many each level has."""
        levels, order = self.levels(rois).sort()
        below = torch.searchsorted(levels, self.following)
        return Cuts(rois[order], awaited.later(below), order.argsort())

    def forward(self, pyramid: Sequence[Tensor], rois: Tensor | Cuts) -> Tensor:
        """Pooled features (R, channels, side, side) of RoIs (R, 5), or of what `plan` made of them.

        In the order in which the RoIs were given.
        """
        cuts = self.plan(rois, Awaited()) if isinstance(rois, Tensor) else rois
        parts = starmap(slice, pairwise((0, *cuts.below())))
        levels = precise(pyramid[: len(self.strides)])
        pooled = [
            roi_align(
                features,
                self.placed(cuts.rois[part], stride),
                self.side,
                1 / stride,
                self.sampling_ratio,
            )
            for features, stride, part in zip(levels, self.strides, parts, strict=True)
        ]
        return torch.cat(pooled).to(pyramid[0].dtype)[cuts.back]

    def placed(self, rois: Tensor, stride: int) -> Tensor:
        """RoIs (R, 5) as an aligned RoIAlign on a level of `stride` is to cut them out."""
        if self.aligned:
            return rois
        low = rois[:, 1:3] + 0.5 * stride
        sides = (rois[:, 3:] - rois[:, 1:3]).clamp(min=stride)
        return torch.cat((rois[:, :1], low, low + sides), dim=1)
