"""Greedy matching of detections with objects (COCO, LVIS), for all images and categories at once.

Matching is a separate greedy run for each of the 40 conditions; here they are the bits of a word
(`conditions`), so that every comparison below settles all of them together.

N: detections. G: objects. P: pairs of a detection and an object of the same category and image.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bacl.evaluation.box_overlap import PairOverlap
from bacl.evaluation.conditions import IOU_THRESHOLDS, REACHED, area_conditions
from bacl.evaluation.truth import GroundTruth

_PAIRS_AT_ONCE = 1 << 18  # bounds the memory of a block: about 30 MB


@dataclass(slots=True, frozen=True)
class Matches:
    """What became of each detection, a bit for each condition."""

    right: np.ndarray
    """(N,) uint64: found an object that counts."""
    ignored: np.ndarray
    """(N,) uint64: found an object that does not count (ignored, or outside the area range)."""
    taken: np.ndarray
    """(G,) uint64: what became of each object: found; a crowd region never is."""


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
        reached = REACHED[np.searchsorted(IOU_THRESHOLDS, iou[near], side="right")]
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
