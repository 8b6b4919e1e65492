"""Greedy matching of detections with objects (COCO, LVIS), for all images and categories at once.

A *condition* is an area range with an IoU threshold. Matching is a separate greedy run for each of
the 40 conditions; here a condition is one bit (range * thresholds + threshold) of a 64-bit word, so
that every comparison below settles all of them together.

N: detections. G: objects. P: pairs of a detection and an object of the same category and image.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bacl.evaluation.truth import GroundTruth

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
AREA_RANGES = {
    "all": (0.0, 1e5**2),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e5**2),
}
"""Square pixels, both ends belong to the range."""

PairOverlap = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""IoU (P,) float64 of detection rows (P,) with truth rows (P,): positions in `DetectionColumns` and
in `GroundTruth`. Masks are evaluated by another function of this shape."""

_PAIRS_AT_ONCE = 1 << 18  # bounds the memory of a block: about 30 MB
_BOXES_AT_ONCE = 1 << 14  # what is made of them stays in the caches of a processor
_ONE_RANGE = (1 << len(IOU_THRESHOLDS)) - 1
_EACH_RANGE = sum(1 << len(IOU_THRESHOLDS) * index for index in range(len(AREA_RANGES)))
# Word of the first n thresholds in every range, for n = 0 .. all.
_REACHED = np.array(
    [((1 << n) - 1) * _EACH_RANGE for n in range(len(IOU_THRESHOLDS) + 1)], np.uint64
)
_ENDS = sorted({end for ends in AREA_RANGES.values() for end in ends})


def _area_words() -> np.ndarray:
    """(2 E + 1,) uint64: below the first end of a range, at it, beyond it, at the next and so on.

    A word has all thresholds of every range there.
    """
    places = np.arange(2 * len(_ENDS) + 1)
    words = np.zeros(len(places), np.uint64)
    for index, (low, high) in enumerate(AREA_RANGES.values()):
        first, last = (2 * _ENDS.index(end) + 1 for end in (low, high))
        inside = (places >= first) & (places <= last)
        words[inside] |= np.uint64(_ONE_RANGE << len(IOU_THRESHOLDS) * index)
    return words


_AREA_WORDS = _area_words()


@dataclass(slots=True, frozen=True)
class Matches:
    """What became of each detection, a bit for each condition."""

    right: np.ndarray
    """(N,) uint64: found an object that counts."""
    ignored: np.ndarray
    """(N,) uint64: found an object that does not count (ignored, or outside the area range)."""
    taken: np.ndarray
    """(G,) uint64: what became of each object: found; a crowd region never is."""


def box_overlap(detections: np.ndarray, truths: np.ndarray, crowd: np.ndarray) -> PairOverlap:
    """IoU of boxes, xywh float64, with the operations and so the rounding of the COCO tools.

    For `crowd` regions, (G,) bool, it is the share of the detection that lies within the region.
    """

    def overlap(detection_rows: np.ndarray, truth_rows: np.ndarray) -> np.ndarray:
        found = np.empty(len(truth_rows))
        for first in range(0, len(found), _BOXES_AT_ONCE):
            part = slice(first, first + _BOXES_AT_ONCE)
            found[part] = some(detection_rows[part], truth_rows[part])
        return found

    def some(detection_rows: np.ndarray, truth_rows: np.ndarray) -> np.ndarray:
        # Column by column in memory: arithmetic on every fourth number takes twice as long.
        dx, dy, dw, dh = np.ascontiguousarray(detections.take(detection_rows, axis=0).T)
        tx, ty, tw, th = np.ascontiguousarray(truths.take(truth_rows, axis=0).T)
        width = np.minimum(dx + dw, tx + tw) - np.maximum(dx, tx)
        height = np.minimum(dy + dh, ty + th) - np.maximum(dy, ty)
        common = np.maximum(width, 0) * np.maximum(height, 0)
        near = np.flatnonzero(common > 0)
        own, other = (dw * dh)[near], (tw * th)[near]
        union = np.where(crowd[truth_rows[near]], own, own + other - common[near])
        common[near] /= union
        return common

    return overlap


def area_conditions(areas: np.ndarray) -> np.ndarray:
    """(N,) uint64: all thresholds of every range that contains the area."""
    place = np.zeros(len(areas), np.uint8)
    for end in _ENDS:
        place += (areas >= end).view(np.uint8) + (areas > end).view(np.uint8)
    return _AREA_WORDS[place]


def match(truth: GroundTruth, rows: np.ndarray, keys: np.ndarray, overlap: PairOverlap) -> Matches:
    """Match detections with the objects of the same key.

    Within a key the detections choose in order. Each takes the free object of highest IoU that
    reaches the threshold, the last of equals; objects that do not count are taken only if no object
    that counts can be. A crowd region stays free.

    Args:
        truth: the objects.
        rows: (N,) int64, rows of the detections, which `overlap` is asked for.
        keys: (N,) int64, ascending; within a key, best detection first.
        overlap: IoU of pairs.
    """
    counting = np.where(truth.ignored, np.uint64(0), area_conditions(truth.areas))
    used_up = np.where(truth.crowd, np.uint64(0), ~np.uint64(0))
    right, matched = np.zeros(len(rows), np.uint64), np.zeros(len(rows), np.uint64)
    taken = np.zeros(len(counting), np.uint64)
    for detections, objects in _pair_blocks(truth.keys, keys):
        iou = overlap(rows[detections], objects)
        near = _best_pair_first(np.flatnonzero(iou >= IOU_THRESHOLDS[0]), detections, objects, iou)
        detections, objects = detections[near], objects[near]
        reached = _REACHED[np.searchsorted(IOU_THRESHOLDS, iou[near], side="right")]
        for turn in _turns(keys, detections):
            for accepted in (counting, ~counting):
                for choice in turn:
                    who, what = detections[choice], objects[choice]
                    won = reached[choice] & accepted[what] & ~taken[what] & ~matched[who]
                    taken[what] |= won & used_up[what]
                    matched[who] |= won
                    if accepted is counting:
                        right[who] |= won
    return Matches(right, matched & ~right, taken)


def _best_pair_first(
    near: np.ndarray, detections: np.ndarray, objects: np.ndarray, iou: np.ndarray
) -> np.ndarray:
    """The pairs `near`, in each detection the best overlap first, of equals the last object.

    Detections are in order already, and most are near to a single object.
    """
    who = detections[near]
    same = who[1:] == who[:-1]
    several = np.flatnonzero(np.append(same, False) | np.append(False, same))
    own = near[several]
    near[several] = own[np.lexsort((-objects[own], -iou[own], detections[own]))]
    return near


def _pair_blocks(
    truth_keys: np.ndarray, keys: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Indices of all detections and objects that share a key; a block holds whole keys."""
    opens = np.flatnonzero(np.diff(keys, prepend=-1))
    ends = [np.searchsorted(truth_keys, keys[opens], side=side) for side in ("left", "right")]
    first, last = (np.repeat(each, np.diff(opens, append=len(keys))) for each in ends)
    count = last - first
    with_objects = np.flatnonzero(count)
    first, count, keys = first[with_objects], count[with_objects], keys[with_objects]
    opens = np.flatnonzero(np.diff(keys, prepend=-1))  # the first detection of each key
    before = (np.cumsum(count) - count)[opens]
    cuts = opens[np.flatnonzero(np.diff(before // _PAIRS_AT_ONCE, prepend=-1))]
    for start, stop in pairwise([*cuts, len(keys)]):
        size = count[start:stop]
        shift = first[start:stop] - (np.cumsum(size) - size)
        pairs = np.arange(size.sum()) + np.repeat(shift, size)
        yield np.repeat(with_objects[start:stop], size), pairs


def _turns(keys: np.ndarray, detections: np.ndarray) -> list[list[np.ndarray]]:
    """Order of play: in turn r the r-th detection of every key looks at its pairs, best first.

    Args:
        keys: (N,) keys of all detections.
        detections: (P,) ascending, the detection of each pair; a detection's best pair first.

    Returns:
        For each turn, for each place p, the indices of the p-th pairs of the detections at play.
        They belong to different keys and so do not disturb each other.
    """
    opens = np.diff(detections, prepend=-1) != 0
    place = rank_in_run(opens)
    heads = np.flatnonzero(opens)
    turn_of_head = rank_in_run(np.diff(keys[detections[heads]], prepend=-1) != 0)
    turn = turn_of_head[np.cumsum(opens) - 1]
    order = np.lexsort((place, turn))
    turn, place = turn[order], place[order]
    change = np.flatnonzero((np.diff(turn) != 0) | (np.diff(place) != 0)) + 1
    choices = np.split(order, change) if len(order) else []
    turns: list[list[np.ndarray]] = []
    for choice, position in zip(
        choices, place[np.r_[0, change]] if len(order) else [], strict=True
    ):
        if position == 0:
            turns.append([])
        turns[-1].append(choice)
    return turns


def rank_in_run(opens: np.ndarray) -> np.ndarray:
    """0, 1, 2, ... from every True on."""
    position = np.arange(len(opens))
    return position - np.maximum.accumulate(np.where(opens, position, 0))
