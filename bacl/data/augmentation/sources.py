"""Which picture's objects are pasted into another: rarer categories first, if so wished.

M: objects. N: pictures. C: categories.
"""

import numpy as np
import torch
from torch import Tensor


def category_weights(image_counts: np.ndarray, power: float) -> np.ndarray:
    """(C,) float64 n^-power of the training images n of each category, at least one."""
    return np.maximum(image_counts, 1).astype(np.float64) ** -power


def picture_shares(
    num_pictures: int, index: np.ndarray, label: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """(N,) probability of each picture, where a category is drawn first, and then one of its own.

    A category is drawn in proportion to its weight, among those that have a picture; its pictures
    are alike. A picture of several categories can be drawn for each of them.

    Args:
        num_pictures: N.
        index: (M,) picture of each object, in [0, N); M is at least 1.
        label: (M,) category of each object, in [0, C).
        weights: (C,) positive.
    """
    index, label = np.unique(np.stack([index, label]), axis=1)
    own = weights[label] / np.bincount(label)[label]
    shares = np.bincount(index, own, minlength=num_pictures)
    return shares / shares.sum()


class WeightedDraw:
    """Draws of one of n, from torch's generator.

    Args:
        shares: (n,) float64, none negative, not all zero.
    """

    def __init__(self, shares: np.ndarray) -> None:
        self._cumulative = torch.from_numpy(np.cumsum(shares))
        self._last = int(np.flatnonzero(shares)[-1])

    def __call__(self) -> int:
        """A position in [0, n)."""
        drawn: Tensor = torch.rand((), dtype=torch.float64) * self._cumulative[-1]
        return min(int(torch.searchsorted(self._cumulative, drawn, right=True)), self._last)
