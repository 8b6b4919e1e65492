"""The images in an order, and in two halves, that depend on their ids alone."""

import numpy as np


def shuffled(image_ids: np.ndarray) -> np.ndarray:
    """(I,) int64, the ids in an order that depends on nothing else."""
    return np.random.default_rng(0).permutation(np.sort(image_ids))


def halves_of(image_ids: np.ndarray) -> list[np.ndarray]:
    """Ids of the images of each half."""
    return np.array_split(shuffled(image_ids), 2)
