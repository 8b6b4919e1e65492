"""RoIs out of a feature pyramid.

R: RoIs of the batch, as rows (image index, x1, y1, x2, y2) in pixels of the network's input.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bacl.detectors.fpn import STRIDES
from bacl.detectors.roi_align import roi_align
from bacl.messages.errors import OptionError
from bacl.options.ranges import Positive, SamplingRatio, Side, Strides


def with_image_index(boxes: Sequence[Tensor]) -> Tensor:
    """RoIs (R, 5) float32 of boxes (·, 4) given per image, images in order."""
    # A tensor of the counts would be copied to the GPU, which the host waits for.
    owners = [image.new_full((len(image), 1), index) for index, image in enumerate(boxes)]
    return torch.cat((torch.cat(owners).float(), torch.cat(list(boxes)).float()), dim=1)


class RoIPooling(nn.Module):
    """RoIAlign on the pyramid level that suits a RoI's size (FPN 2017, Eq. 1).

    Args:
        side: of the pooled RoIs.
        strides: of the levels that RoIs are taken from, finest first, in pixels.
        finest_scale: RoIs with √area below twice this many pixels use the finest level.
        sampling_ratio: samples per bin and axis; 0 for as many as the bin covers cells.

    Raises:
        OptionError: strides that are not those of the finest levels.
    """

    def __init__(
        self,
        side: Side,
        strides: Strides,
        finest_scale: Positive,
        sampling_ratio: SamplingRatio = 0,
    ) -> None:
        super().__init__()
        self.side = side
        self.strides = tuple(strides)
        if self.strides != STRIDES[: len(self.strides)]:
            raise OptionError(
                f"pooling.strides={list(strides)}: the levels of the pyramid have {list(STRIDES)}, "
                "and RoIs are taken from the first of them"
            )
        self.finest_scale = finest_scale
        self.sampling_ratio = sampling_ratio

    def levels(self, rois: Tensor) -> Tensor:
        """Index of the level of each RoI, int64 (R,)."""
        area = (rois[:, 3] - rois[:, 1]) * (rois[:, 4] - rois[:, 2])
        level = (area.sqrt() / self.finest_scale + 1e-6).log2().floor()
        return level.clamp(0, len(self.strides) - 1).long()

    def forward(self, pyramid: Sequence[Tensor], rois: Tensor) -> Tensor:
        """Pooled features (R, channels, side, side) of RoIs (R, 5)."""
        levels = self.levels(rois)
        order = levels.argsort()
        counts = levels.new_zeros(len(self.strides)).index_add_(0, levels, torch.ones_like(levels))
        pooled = [
            roi_align(features, part, self.side, 1 / stride, self.sampling_ratio)
            for features, stride, part in zip(
                pyramid, self.strides, rois[order].split(counts.tolist()), strict=False
            )
        ]
        return torch.cat(pooled)[order.argsort()]
