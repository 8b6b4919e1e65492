"""How large and how wide the objects of a category are, in the mean.

C: categories.
"""

from functools import cache
from pathlib import Path

import numpy as np

from bacl.data.annotations.column_files import open_column


@cache  # every part that counts categories asks anew
def box_shapes(folder: Path, num_categories: int) -> np.ndarray:
    """(C, 2) float64: means of log(width / height) and of log(area / the picture's).

    Of the objects that are trained on; a category without any has the mean of the others.

    Args:
        folder: of an annotation table.
        num_categories: C.
    """
    trainable = open_column(folder, "trainable")
    offsets, sizes = open_column(folder, "offsets"), open_column(folder, "image_sizes")
    areas = np.repeat(sizes.astype(np.float64).prod(axis=1), np.diff(offsets))[trainable]
    width, height = open_column(folder, "boxes")[trainable, 2:].T
    labels = open_column(folder, "labels")[trainable]
    shapes = np.log(width / height), np.log(width * height / areas)
    counts = np.bincount(labels, minlength=num_categories)
    sums = [np.bincount(labels, shape, minlength=num_categories) for shape in shapes]
    means = np.stack(sums, axis=1) / counts.clip(min=1)[:, None]
    known = counts > 0
    if known.any():
        means[~known] = means[known].mean(axis=0)
    return means
