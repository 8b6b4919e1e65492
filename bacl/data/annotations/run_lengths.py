"""COCO's compressed run-length masks: what they hold, told without decoding them to pixels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

RunLengths = dict[str, Any]
"""A compressed COCO run-length mask: {"size": [height, width], "counts": bytes}."""

_LONGEST_CHAIN = 7  # characters of a 32-bit number with its sign


def mask_areas(masks: Sequence[RunLengths]) -> np.ndarray:
    """Pixels (N,) float64 of N compressed run-length masks.

    pycocotools' own `area` (2.0.11, with NumPy 2) raises OverflowError for more than 255 at once.
    """
    parts = [masks[first : first + 255] for first in range(0, len(masks), 255)]
    return np.concatenate([np.zeros(0), *(coco_mask.area(part) for part in parts)])


def toggles(code: bytes) -> np.ndarray:
    """Where a compressed mask begins and ends, in turn: (2R,) int64 places down its columns.

    Raises:
        ValueError: for what no encoder writes.
    """
    changes = np.cumsum(decoded_runs(code))
    return changes[: len(changes) // 2 * 2]  # a last run without pixels ends with the picture


def decoded_runs(code: bytes) -> np.ndarray:
    """The run lengths (R,) int64, none negative, in COCO's compressed form.

    A number is a chain of characters 48 + b: five bits each, lowest first, 0x20 set where the chain
    goes on, 0x10 of the last the sign. From the fourth on, a run stands as its difference from the
    run two before.

    Raises:
        ValueError: for what no encoder writes, which pycocotools' decoder reads beyond its end.
    """
    bits = np.frombuffer(code, dtype=np.uint8).astype(np.int64) - 48
    last = np.flatnonzero((bits & 0x20) == 0)
    first = np.concatenate([[0], last[:-1] + 1])[: len(last)]
    length = last - first + 1
    if length.sum() < len(bits) or (length > _LONGEST_CHAIN).any() or (bits >> 6).any():
        raise ValueError("which is no text of compressed run lengths")
    shift = 5 * (np.arange(len(bits)) - np.repeat(first, length))
    runs = np.add.reduceat((bits & 0x1F) << shift, first) if len(first) else first
    runs = runs - np.where(bits[last] & 0x10, np.int64(1) << (5 * length), 0)
    for parity in (1, 2):
        runs[parity::2] = np.cumsum(runs[parity::2])
    if (runs < 0).any():
        raise ValueError("which has a negative run length")
    return runs
