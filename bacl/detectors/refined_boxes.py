"""From the RoIs of one level of a cascade to the proposals of the next."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from bacl.detectors.boxes import BoxCoder, clipped, limits
from bacl.detectors.levels import TrainingLevel
from bacl.detectors.matching import SampledRoIs
from bacl.detectors.transfers import Awaited, sent


def refined(
    coder: BoxCoder, deltas: Tensor, boxes: Sequence[Tensor], sizes: Sequence[tuple[int, int]]
) -> list[Tensor]:
    """Boxes (·, 4) of each image, moved, and clipped to it.

    Args:
        coder: of the level whose regression gave the deltas.
        deltas: (·, 4), images in order.
        boxes: (·, 4) xyxy of each image, in pixels.
        sizes: height and width of each image.
    """
    counts = [len(image) for image in boxes]
    moved = coder.decode(deltas, torch.cat(list(boxes)))
    owners = sent(np.repeat(np.arange(len(sizes)), counts), moved.device)
    return list(clipped(moved, limits(sizes, moved.device)[owners]).split(counts))


def require_finite(deltas: Tensor, name: str, awaited: Awaited) -> None:
    """Have the next fetch of `awaited` raise a FloatingPointError, where a delta is not finite.

    Args:
        deltas: of the level of this name.
        name: of the level.
        awaited: what is fetched next.
    """
    awaited.check_finite(
        deltas,
        f"boxes of the cascade's {name} level are not finite: where training diverged, lower "
        "the learning rate",
    )


def not_objects_own(rois: SampledRoIs) -> tuple[Tensor, ...]:
    """(·,) bool per image: RoIs that are not an object's own box.

    The next sampler adds these boxes itself; refined ones would be proposals that no test has.
    """
    return rois.added.logical_not().split([len(image) for image in rois.boxes])


def objectness_by_image(level: TrainingLevel) -> Sequence[Tensor]:
    """Of the next level's proposals: each is an RoI of this one."""
    return level.objectness.split([len(boxes) for boxes in level.boxes])
