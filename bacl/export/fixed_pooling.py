"""RoIs out of a pyramid without sorting them by level: as many rows from every level.

R: RoIs of the batch.
"""

from collections.abc import Sequence

import torch
import torchvision
from torch import Tensor

from bacl.detectors.roi_pooling import RoIPooling


def fixed_pooling(
    pooling: RoIPooling, pyramid: Sequence[Tensor], boxes: Tensor, images: Tensor
) -> Tensor:
    """(R, channels, side, side): what `pooling` gives.

    Every RoI is pooled from every level, but as an empty box from those it does not belong to,
    which costs little and counts for nothing; the sum over levels is the pooled RoI. A box without
    samples is set to zero, which is what PyTorch and onnxruntime give it; OpenVINO divides by
    their number.

    Args:
        pooling: how RoIs are cut out.
        pyramid: (B, channels, H_l, W_l) per level.
        boxes: (R, 4) float32, in pixels of the network's input.
        images: (R,) index of each RoI's image in the batch.
    """
    rois = torch.cat((images.unsqueeze(1).to(boxes.dtype), boxes), dim=1)
    levels = pooling.levels(rois)
    always = pooling.sampling_ratio > 0 or not pooling.aligned
    sampled = (boxes[:, 2:] > boxes[:, :2]).all(1) | always
    parts = []
    for level, (features, stride) in enumerate(zip(pyramid, pooling.strides, strict=False)):
        own = (levels == level) & sampled
        of_level = torch.cat((rois[:, :1], rois[:, 1:] * own.unsqueeze(1)), dim=1)
        placed = pooling.placed(of_level, stride)
        sizes = pooling.side, 1 / stride, pooling.sampling_ratio
        pooled = torchvision.ops.roi_align(features, placed, *sizes, aligned=True)
        parts.append(torch.where(own[:, None, None, None], pooled, 0.0))
    return torch.stack(parts).sum(0)
