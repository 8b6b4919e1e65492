"""How the objects of a category spread over the pictures: the fractal dimension of their centres.

Alexandridis et al., "Fractal Calibration for Long-Tailed Object Detection", CVPR 2025; details as
in the published code. M: objects. C: categories. G: cells of a grid along a side.
"""

import math
from functools import cache
from pathlib import Path

import numpy as np

from bacl.data.annotations.column_files import open_column

FINEST = 64
"""G of the finest grid."""


@cache  # a second for LVIS, and every head that reads it asks anew
def dimensions_of_table(folder: Path, num_categories: int) -> np.ndarray:
    """(C,) float64, `fractal_dimensions` of a table's categories, ignored objects aside.

    Args:
        folder: of the table.
        num_categories: C.
    """
    counted = ~open_column(folder, "ignore")
    offsets, sizes = open_column(folder, "offsets"), open_column(folder, "image_sizes")
    size = np.repeat(sizes[:, ::-1], np.diff(offsets), axis=0)[counted]
    boxes = open_column(folder, "boxes")[counted]
    centres = (boxes[:, :2] + boxes[:, 2:] / 2) / size
    return fractal_dimensions(centres, open_column(folder, "labels")[counted], num_categories)


def fractal_dimensions(centres: np.ndarray, labels: np.ndarray, num_categories: int) -> np.ndarray:
    """Box-counting dimension of every category's centres: near 2 where they lie everywhere.

    It is the slope of the least-squares line of log(occupied cells) over log G through the grids
    G = 1, 2, … of no more cells than the category has objects. It is 1 for a category with fewer
    than 4 objects, and where the slope is less.

    Args:
        centres: (M, 2) in [0, 1], as shares of the picture's width and height; what lies beyond
            counts in the outermost cells.
        labels: (M,) in [0, C).
        num_categories: C.

    Returns:
        (C,) float64, at least 1.
    """
    order = np.argsort(labels, kind="stable")  # a category's cells lie together in memory
    labels = labels[order].astype(np.int32)
    x, y = np.ascontiguousarray(centres[order].clip(0, 1).T)
    counts = np.bincount(labels, minlength=num_categories)
    grids = np.arange(1, min(FINEST, math.isqrt(int(counts.max(initial=1)))) + 1)
    occupied = np.ones((len(grids), num_categories))
    for place, grid in enumerate(grids.tolist()):  # of all grids at once it would take gigabytes
        cells = _cell(y, grid) * grid + _cell(x, grid)
        filled = np.zeros(num_categories * grid**2, dtype=bool)
        filled[labels.astype(np.int64) * grid**2 + cells] = True
        occupied[place] = filled.reshape(num_categories, -1).sum(1)
    used = grids[:, None] ** 2 <= counts
    return np.maximum(_slopes(np.log(grids)[:, None], np.log(occupied.clip(min=1)), used), 1.0)


def _cell(position: np.ndarray, grid: int) -> np.ndarray:
    """(M,) int32 in [0, G) of positions in [0, 1]."""
    return np.minimum((position * grid).astype(np.int32), grid - 1)


def _slopes(x: np.ndarray, y: np.ndarray, used: np.ndarray) -> np.ndarray:
    """(C,) of the lines through the used points of (G, 1) x and (G, C) y; 0 for a single point."""
    mean = np.where(used, x, 0).sum(0) / used.sum(0).clip(min=1)
    deviation = np.where(used, x - mean, 0)
    spread = (deviation**2).sum(0)
    return (deviation * y).sum(0) / np.where(spread > 0, spread, 1)
