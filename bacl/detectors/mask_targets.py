"""What the mask head learns: annotated masks cropped to RoIs and resampled to the head's side.

P: positive RoIs of an image. N: its objects.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import roi_align

from bacl.data.batch import MaskEdges, Target
from bacl.detectors.boxes import clip_boxes
from bacl.detectors.matching import SampledRoIs
from bacl.messages.errors import OptionError

AT_ONCE = 32
"""Objects whose masks are float32 together: 210 MB on a canvas of 1280 pixels."""


def positive_rois(rois: SampledRoIs) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Boxes (P, 4) and matched objects (P,) int64 per image, and all labels in that order."""
    rows, counts = rois.foreground, [len(own) for own in rois.positives]
    boxes, objects = rois.all_boxes[rows], rois.objects[rows]
    return list(boxes.split(counts)), list(objects.split(counts)), rois.labels[rows]


def mask_targets(
    boxes: Sequence[Tensor], objects: Sequence[Tensor], targets: Sequence[Target], side: int
) -> Tensor:
    """Targets (P of all images, side, side) float32 in {0, 1}, images in order.

    Args:
        boxes: (P, 4) RoIs per image, in pixels of the network's input.
        objects: (P,) int64 per image, the object whose mask each RoI shall show.
        targets: with masks.
        side: of the result.

    Raises:
        OptionError: a target has no masks.
    """
    if any(target.masks is None for target in targets):
        raise OptionError(
            "datamodule.load_masks=false, but the detector has a mask branch, which learns from "
            "masks: leave datamodule.load_masks at ${masks} and choose detector=mask_…"
        )
    parts = zip(boxes, objects, targets, strict=True)
    return torch.cat([resampled(target.masks, index, rois, side) for rois, index, target in parts])  # type: ignore[arg-type]


@torch.no_grad()
def resampled(masks: MaskEdges, objects: Tensor, boxes: Tensor, side: int) -> Tensor:
    """Crops (P, side, side) float32 in {0, 1} of N masks.

    A bin is 1 where RoIAlign (aligned, adaptive sampling) of the bitmap is 1/2 or more, which is
    how the published code crops and resizes. torchvision's operator is the fast one here even on a
    CPU: there is one channel, and no gradient.

    Args:
        masks: of all objects.
        objects: (P,) int64 in [0, N).
        boxes: (P, 4) xyxy in pixels of the masks.
        side: of a crop.
    """
    boxes = clip_boxes(boxes, masks.size)
    crops = boxes.new_zeros((len(boxes), side, side))
    order = objects.argsort()
    borders: list[int] = []
    if len(masks) > AT_ONCE:
        firsts = torch.arange(AT_ONCE, len(masks), AT_ONCE, device=objects.device)
        borders = torch.searchsorted(objects[order], firsts).tolist()
    for number, rows in enumerate(order.tensor_split(borders)):
        index = objects[rows] % AT_ONCE
        rois = torch.cat((index.to(boxes.dtype).unsqueeze(1), boxes[rows]), dim=1)
        bunch = masks.bitmaps(number * AT_ONCE, (number + 1) * AT_ONCE)
        bitmaps = bunch.to(boxes.dtype).unsqueeze(1)
        crops[rows] = roi_align(bitmaps, rois, side, aligned=True).squeeze(1)
    return (crops >= 0.5).float()
