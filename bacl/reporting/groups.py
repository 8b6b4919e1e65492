"""The frequency groups of long-tailed benchmarks, and how tables and figures name them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Group:
    """One frequency group (LVIS: by the number of training images)."""

    name: str
    colour: str
    """Of its boxes and labels."""
    tint: str
    """Of the background behind its categories."""


GROUPS = {
    "r": Group("rare", "#c92a2a", "#fbe9e7"),
    "c": Group("common", "#b8730a", "#fdf4dc"),
    "f": Group("frequent", "#1864ab", "#e4f0f8"),
}


def members(frequency: ArrayLike) -> dict[str, NDArray[np.bool_]]:
    """The groups that have categories, from rare to frequent, each with its (C,) bool mask.

    Args:
        frequency: (C,) of "r", "c" or "f".

    Raises:
        ValueError: another value; names it.
    """
    letters = np.asarray(frequency, dtype=str)
    unknown = sorted(set(letters.tolist()) - set(GROUPS))
    if unknown:
        raise ValueError(f"frequency: {unknown} is none of {list(GROUPS)}")
    masks = {key: letters == key for key in GROUPS}
    return {key: mask for key, mask in masks.items() if mask.any()}
