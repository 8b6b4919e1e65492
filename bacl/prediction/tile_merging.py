"""What was found in a picture and in its tiles, as what was found in the picture."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from pycocotools import mask as coco_mask
from torch import Tensor

from bacl.data.batch import Detections, RunLengths
from bacl.data.images.tiles import Place
from bacl.detectors.class_suppression import covered, survivors

NEAR = 0.01
"""Of a tile's side: a box that ends so near to a border within the picture may be cut by it."""
COVERED = 0.5
"""Share of a box that is cut, from which on another box of its category has it whole."""
AS_SURE = 0.5
"""Of the score of a box that is cut: one that is less sure takes no place of it."""


def merged(
    whole: Detections,
    tiles: Sequence[tuple[Place, Detections]],
    size: tuple[int, int],
    rule: tuple[float, int],
) -> Detections:
    """Detections of a picture from those of it as a whole and of its tiles, best first.

    What no border cuts is suppressed within its category, best first. What a border may cut is
    left out where such a box covers half of it and is half as sure, and else suppressed beside it.

    Args:
        whole: of the picture.
        tiles: their places and detections, in pixels of each.
        size: height and width of the picture.
        rule: the IoU that is tolerated within a category, and the most detections of a picture.
    """
    tolerated, most = rule
    found = _joined([whole, *(_shifted(each, place, size) for place, each in tiles)])
    marks = [torch.zeros(len(whole.scores), dtype=torch.bool)]
    cut = torch.cat([*marks, *(cut_boxes(each.boxes, place, size) for place, each in tiles)])
    complete, parts = _best_first(_taken(found, ~cut)), _best_first(_taken(found, cut))
    complete = _taken(complete, survivors(complete.boxes, complete.labels, tolerated))
    seen_whole = covered(complete, parts, COVERED, AS_SURE)
    both = _best_first(_joined([complete, _taken(parts, ~seen_whole)]))
    kept = _taken(both, survivors(both.boxes, both.labels, tolerated))
    kept = _taken(kept, torch.arange(min(most, len(kept.scores))))
    return kept if kept.masks is None else replace(kept, masks=list(_placed(kept.masks, size)))


def cut_boxes(boxes: Tensor, place: Place, size: tuple[int, int]) -> Tensor:
    """(K,) bool: whether boxes (K, 4), in pixels of a tile, end at a border within the picture."""
    near_x, near_y = (max(2.0, NEAR * side) for side in (place.width, place.height))
    left, top, right, bottom = boxes.unbind(1)
    ends = torch.zeros(len(boxes), dtype=torch.bool)
    if place.left > 0:
        ends |= left < near_x
    if place.top > 0:
        ends |= top < near_y
    if place.left + place.width < size[1]:
        ends |= right > place.width - near_x
    if place.top + place.height < size[0]:
        ends |= bottom > place.height - near_y
    return ends


def _shifted(found: Detections, place: Place, size: tuple[int, int]) -> Detections:
    """Detections of a tile in pixels of the picture; masks know their places."""
    shift = torch.tensor([place.left, place.top, place.left, place.top], dtype=found.boxes.dtype)
    masks: Any = found.masks and [{**mask, "place": place} for mask in found.masks]
    return replace(found, boxes=found.boxes + shift, masks=masks)


def _joined(parts: Sequence[Detections]) -> Detections:
    """All together, one part after the other."""
    masks = [each.masks for each in parts if each.masks is not None]
    every: Any = [mask for own in masks for mask in own] if masks else None
    return Detections(
        torch.cat([each.boxes for each in parts]),
        torch.cat([each.scores for each in parts]),
        torch.cat([each.labels for each in parts]),
        every,
    )


def _best_first(found: Detections) -> Detections:
    return _taken(found, found.scores.argsort(descending=True, stable=True))


def _taken(found: Detections, index: Tensor) -> Detections:
    rows = index.nonzero()[:, 0] if index.dtype == torch.bool else index
    masks = found.masks and [found.masks[row] for row in rows.tolist()]
    return Detections(found.boxes[rows], found.scores[rows], found.labels[rows], masks)


def _placed(masks: Sequence[Any], size: tuple[int, int]) -> Iterator[RunLengths]:
    """Masks in the size of the picture."""
    for mask in masks:
        place = mask.get("place")
        if place is None:
            yield mask
            continue
        canvas = np.zeros(size, dtype=np.uint8, order="F")
        rows = slice(place.top, place.top + place.height)
        own = {key: value for key, value in mask.items() if key != "place"}
        canvas[rows, place.left : place.left + place.width] = coco_mask.decode(own)
        yield coco_mask.encode(canvas)
