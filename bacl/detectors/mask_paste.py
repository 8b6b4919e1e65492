"""Masks of detections from the head's small squares to run lengths of the whole picture.

K: detections of an image. s: side of the head's masks. H, W: the picture's height and width.
"""

import torch
from pycocotools import mask as coco_mask
from torch import Tensor

from bacl.data.batch import RunLengths

PIXELS_AT_ONCE = 1 << 24
"""Pixels of all masks that are pasted together: 64 MB of float32."""


def run_lengths(
    probabilities: Tensor, boxes: Tensor, size: tuple[int, int], threshold: float
) -> list[RunLengths]:
    """K compressed COCO run-length masks {"size": [H, W], "counts": bytes}.

    Args:
        probabilities: (K, s, s) float32 in [0, 1].
        boxes: (K, 4) xyxy in pixels of the picture.
        size: H and W.
        threshold: a pixel belongs to the mask from this probability on.
    """
    at_once = max(1, PIXELS_AT_ONCE // (size[0] * size[1]))
    codes: list[RunLengths] = []
    for part, place in zip(probabilities.split(at_once), boxes.split(at_once), strict=True):
        if len(part):
            columns = pasted(part, place, size) >= threshold
            # The encoder reads columns of the picture one after the other: (H, W, K) in Fortran's
            # order is (K, W, H) in ours, and no byte moves.
            codes += coco_mask.encode(columns.cpu().numpy().view("uint8").transpose(2, 1, 0))
    return codes


def pasted(probabilities: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Probabilities (K, W, H), columns first, of every pixel of the picture, zero outside the box.

    Bilinear, with pixel centres at half numbers, like `grid_sample(align_corners=False)` with
    zero padding. On a grid along the axes that is a product of three matrices: rows' weights, the
    small mask, columns' weights. Nothing of the size of the picture is read, only written.

    Args:
        probabilities: (K, s, s).
        boxes: (K, 4) xyxy in pixels of the picture.
        size: H and W.
    """
    side = probabilities.shape[-1]
    left, top, right, bottom = boxes.unbind(1)
    columns = _weights(left, right, side, size[1])
    rows = _weights(top, bottom, side, size[0])
    with torch.autocast(boxes.device.type, enabled=False):  # half a bit would move edges by pixels
        return columns @ (rows @ probabilities).transpose(1, 2)


def _weights(start: Tensor, end: Tensor, side: int, limit: int) -> Tensor:
    """Weights (K, limit, side) of the mask's bins at every pixel along one axis."""
    pixels = torch.arange(limit, device=start.device, dtype=start.dtype) + 0.5
    bins = torch.arange(side, device=start.device, dtype=start.dtype)
    length = (end - start).clamp(min=1e-6).unsqueeze(1)  # a box without width shows nothing
    position = (pixels - start.unsqueeze(1)) / length * side - 0.5
    return (1 - (position.unsqueeze(2) - bins).abs()).clamp(min=0)
