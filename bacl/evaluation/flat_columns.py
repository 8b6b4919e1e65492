"""Columns of detections from files whose records are written alike.

D: detections, in the order of their file.
"""

from array import array
from collections.abc import Iterable
from typing import Any, NamedTuple, Self

import numpy as np

from bacl.evaluation.record_layout import OtherLayoutError, Piece

_LARGEST_ID = 1 << 20


class FlatColumns(NamedTuple):
    """Of some records."""

    images: np.ndarray
    """(D,) int64, ids."""
    labels: np.ndarray
    """(D,) int32."""
    boxes: np.ndarray
    """(4 D,) float64: x, y, width, height of each."""
    scores: np.ndarray
    """(D,) float64."""

    @classmethod
    def of(cls, pieces: Iterable[Piece], label_of: np.ndarray) -> Self:
        """Those of pieces, with categories by their labels.

        Args:
            pieces: in order.
            label_of: see `labels_by_id`.

        Raises:
            OtherLayoutError: a category has no label.
        """
        return cls.joined(_labelled(piece, label_of) for piece in pieces)

    @classmethod
    def joined(cls, parts: Iterable["FlatColumns"]) -> Self:
        """Those of all parts; no two are held at a time beside the sum."""
        columns: tuple[array[Any], ...] = array("q"), array("i"), array("d"), array("d")
        for part in parts:
            for column, own in zip(columns, part, strict=True):
                column.frombytes(own.tobytes())
        kinds = np.int64, np.int32, np.float64, np.float64
        return cls(*map(np.frombuffer, columns, kinds))


def labels_by_id(category_ids: np.ndarray) -> np.ndarray:
    """(n,) int32: at place id + 1 its label, -1 for others, which the ends stand for too.

    Ids beyond a million have none here.
    """
    own = (category_ids >= 0) & (category_ids < _LARGEST_ID)
    known = category_ids[own]
    labels = np.full(int(known.max(initial=0)) + 3, -1, np.int32)
    labels[known + 1] = np.flatnonzero(own)
    return labels


def _labelled(piece: Piece, label_of: np.ndarray) -> FlatColumns:
    found = label_of.take(piece.categories.clip(-1, _LARGEST_ID) + 1, mode="clip")
    if (found < 0).any():
        raise OtherLayoutError
    return FlatColumns(piece.images, found, piece.boxes, piece.scores)
