"""How far the detections of a file are those of the model that it was made of.

K: detections of a picture. M: pairs of them that belong together.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from pycocotools import mask as coco_mask
from torch import Tensor
from torchvision.ops import box_iou

from bacl.data.batch import Detections
from bacl.options.ranges import NotNegative, Share

SAME_IOU = 0.9
"""From which overlap on two detections of one label may be the same."""
SCORE_WEIGHT = 10.0
"""Of a difference of scores beside one of overlaps, in which of several is the same."""


@dataclass(frozen=True)
class Tolerance:
    """What may differ.

    Runtimes add up in orders of their own, and where two scores, or an overlap and its limit, are
    nearly equal, another detection may stay.
    """

    box: NotNegative
    """Pixels of the network's input, of any side of any box."""
    score: Share
    """Of any detection's score."""
    unmatched: Share
    """Of all detections, that only the file or only the model has."""
    mask: Share
    """Of all pixels of masks, that only the file's or only the model's have."""
    rounding: NotNegative = 0.0
    """Of a program: how many times as far from the model in double precision as the model itself is
    (`rounding.Rounding`), where that is more; 0: no farther than the others say."""


@dataclass(frozen=True)
class Agreement:
    """What was found of one set of pictures by the model and by the file."""

    pictures: int = 0
    expected: int = 0
    """Detections of the model."""
    found: int = 0
    """Detections of the file."""
    matched: int = 0
    """Pairs of one label whose boxes are the same but for rounding."""
    box: float = 0.0
    """Largest difference of a matched pair in pixels of the network's input."""
    score: float = 0.0
    """Largest difference of a matched pair."""
    mask_pixels: int | None = None
    """Pixels that a mask of a matched pair has; None where there are no masks."""
    mask_differing: int = 0
    """Pixels that one mask of a matched pair has and the other one has not."""

    @property
    def unmatched(self) -> float:
        """Share of detections that have no counterpart, in [0, 1]."""
        every = self.expected + self.found
        return (every - 2 * self.matched) / max(every, 1)

    @property
    def mask(self) -> float:
        """Share of mask pixels that differ."""
        return self.mask_differing / max(self.mask_pixels or 0, 1)

    def plus(self, other: "Agreement") -> "Agreement":
        """Of both sets of pictures."""
        masks = [each for each in (self.mask_pixels, other.mask_pixels) if each is not None]
        return Agreement(
            self.pictures + other.pictures,
            self.expected + other.expected,
            self.found + other.found,
            self.matched + other.matched,
            max(self.box, other.box),
            max(self.score, other.score),
            sum(masks) if masks else None,
            self.mask_differing + other.mask_differing,
        )

    def problems(self, tolerance: Tolerance) -> list[str]:
        """What differs by more than is tolerated, in words; nothing where all is well."""
        told = {"box": "boxes by {:.3g} pixels", "score": "scores by {:.3g}"}
        told |= {"unmatched": "{:.3g} of the detections are only of one of the two"}
        told |= {"mask": "{:.3g} of the masks' pixels"}
        values = {name: getattr(self, name) for name in told}
        limits = asdict(tolerance)
        return [
            f"{told[name].format(value)} (tolerated: {limits[name]:g})"
            for name, value in values.items()
            if not value <= limits[name]  # NaN is no agreement
        ]

    def line(self) -> str:
        """In one line."""
        masks = "" if self.mask_pixels is None else f", masks {self.mask:.1e} of their pixels"
        return (
            f"{self.pictures} pictures, {self.matched} of {self.expected} detections matched "
            f"({self.found} in the file); largest differences: boxes {self.box:.1e} pixels, scores "
            f"{self.score:.1e}{masks}"
        )

    def plain(self) -> dict[str, Any]:
        """For a json file."""
        return {**asdict(self), "unmatched": self.unmatched, "mask": self.mask}


def agreement(expected: Sequence[Detections], found: Sequence[Detections]) -> Agreement:
    """Of pictures, one after the other."""
    total = Agreement()
    for mine, theirs in zip(expected, found, strict=True):
        total = total.plus(_of_picture(mine, theirs))
    return total


def _of_picture(expected: Detections, found: Detections) -> Agreement:
    mine, theirs = _pairs(expected, found)
    counts = len(expected.labels), len(found.labels), len(mine)
    moved = expected.boxes[mine] - found.boxes[theirs]
    result = Agreement(
        1,
        *counts,
        _largest(moved[~_empty(expected.boxes[mine])]),
        _largest(expected.scores[mine] - found.scores[theirs]),
    )
    if expected.masks is None or found.masks is None:
        return result
    return replace(result, **_mask_pixels(expected, found, zip(mine, theirs, strict=True)))


def _pairs(expected: Detections, found: Detections) -> tuple[list[int], list[int]]:
    """Rows (M,) of both that belong together: the most alike of one label, each at most once.

    Empty boxes, which an untrained detector finds in the padding, have no overlap and all one
    score: which of them come first is a matter of rounding, so one stands for the other.
    """
    if not len(expected.labels) or not len(found.labels):
        return [], []
    overlaps = box_iou(expected.boxes.double(), found.boxes.double()).nan_to_num(0.0)
    both_empty = _empty(expected.boxes)[:, None] & _empty(found.boxes)
    overlaps = torch.where(both_empty, 1.0, overlaps)
    gaps = (expected.scores[:, None] - found.scores).abs().double()
    fits = (expected.labels[:, None] == found.labels) & (overlaps >= SAME_IOU)
    likeness = torch.where(fits, overlaps - SCORE_WEIGHT * gaps, -torch.inf)
    mine, theirs = [], []
    for row in range(len(likeness)):  # best first: the model's order
        best = int(likeness[row].argmax())
        if likeness[row, best] > -torch.inf:
            mine.append(row)
            theirs.append(best)
            likeness[:, best] = -torch.inf
    return mine, theirs


def _empty(boxes: Tensor) -> Tensor:
    """(K,) bool, of boxes (K, 4)."""
    return (boxes[:, 2:] <= boxes[:, :2]).any(1)


def _largest(differences: Tensor) -> float:
    return float(differences.abs().max()) if differences.numel() else 0.0


def _mask_pixels(
    expected: Detections, found: Detections, pairs: Iterable[tuple[int, int]]
) -> dict[str, int]:
    assert expected.masks is not None
    assert found.masks is not None
    pixels = differing = 0
    for mine, theirs in pairs:
        both = [expected.masks[mine], found.masks[theirs]]
        union = int(coco_mask.area(coco_mask.merge(both)))
        pixels += union
        differing += union - int(coco_mask.area(coco_mask.merge(both, intersect=True)))
    return {"mask_pixels": pixels, "mask_differing": differing}
