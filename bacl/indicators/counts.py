"""Counts of the training annotations, for parts that are told how frequent a class is."""

from typing import Any, Protocol

import torch
from torch import Tensor

GROUPS = "rcf"
"""Rare, common and frequent classes, as LVIS calls them."""


class Counts(Protocol):
    """What indicators and losses read of the training annotations' statistics.

    Counts are (C,) integer arrays or tensors, categories by ascending id.
    """

    image_counts: Any
    instance_counts: Any
    num_images: int
    num_annotated: Any
    """Images with at least one annotation."""
    frequency: Any
    """(C,) texts, r for rare, c for common, f for frequent."""


def counts_of(statistics: Counts, name: str, num_classes: int) -> Tensor:
    """A copy of `statistics.<name>`, (C,) int64.

    Raises:
        ValueError: they count other classes.
    """
    counts = torch.as_tensor(getattr(statistics, name), dtype=torch.int64).clone()
    if counts.shape != (num_classes,):
        raise ValueError(
            f"statistics.{name} has shape {tuple(counts.shape)}, expected ({num_classes},): "
            "take the statistics of the annotations that the detector is trained on"
        )
    return counts


def image_frequencies(statistics: Counts, num_classes: int) -> Tensor:
    """The share of the annotated images that contain a class, (C,) float64 in (0, 1).

    A class that no image contains counts as if in one, one that all contain as if missing in half
    an image: so the logits of all shares are finite.

    Raises:
        ValueError: they count other classes.
    """
    images = counts_of(statistics, "image_counts", num_classes).double()
    annotated = torch.as_tensor(statistics.num_annotated, dtype=torch.float64)
    return torch.minimum(images.clamp(min=1), annotated - 0.5) / annotated


def frequency_groups(statistics: Counts, num_classes: int) -> Tensor:
    """0 for rare, 1 for common, 2 for frequent classes, (C,) int64.

    Raises:
        ValueError: they are of other classes.
    """
    groups = [GROUPS.index(name) for name in statistics.frequency]
    if len(groups) != num_classes:
        raise ValueError(
            f"statistics.frequency names the groups of {len(groups)} classes, expected "
            f"{num_classes}: take the statistics of the annotations that the detector is trained on"
        )
    return torch.tensor(groups, dtype=torch.int64)
