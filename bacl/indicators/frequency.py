"""Static indicators: image and instance frequency in the training annotations (Tab. II)."""

from typing import Any, Protocol

import torch
from torch import Tensor

from bacl.indicators.base import COUNT_FLOOR, ScalarIndicator
from bacl.options.ranges import Classes


class Counts(Protocol):
    """What the static indicators read of the training annotations' statistics.

    Counts are (C,) integer arrays or tensors, categories by ascending id.
    """

    image_counts: Any
    instance_counts: Any
    num_images: int


class _Frequency(ScalarIndicator):
    floor = COUNT_FLOOR
    counts: Tensor

    def __init__(self, num_classes: int, counts: Any, total: int, name: str) -> None:
        super().__init__(num_classes)
        counts = torch.as_tensor(counts, dtype=torch.int64).clone()
        if counts.shape != (num_classes,):
            raise ValueError(
                f"statistics.{name} has shape {tuple(counts.shape)}, expected ({num_classes},): "
                "take the statistics of the annotations that the detector is trained on"
            )
        self.register_buffer("counts", counts)
        self.total = max(1, total)

    def values(self) -> Tensor:
        """(C,) int64 counts: their ratios are those of the frequencies."""
        return self.counts

    def strength(self) -> Tensor:
        """See `LongTermIndicator.strength`."""
        return (self.counts.double() / self.total).clamp(max=1).float()


class ImageFrequency(_Frequency):
    """f_i, the fraction of training images that contain class i.

    Args:
        num_classes: C.
        statistics: of the training annotations.
    """

    def __init__(self, num_classes: Classes, statistics: Counts) -> None:
        super().__init__(
            num_classes, statistics.image_counts, int(statistics.num_images), "image_counts"
        )


class InstanceFrequency(_Frequency):
    """F_i, the fraction of training instances that are of class i.

    Args:
        num_classes: C.
        statistics: of the training annotations.
    """

    def __init__(self, num_classes: Classes, statistics: Counts) -> None:
        total = int(statistics.instance_counts.sum())
        super().__init__(num_classes, statistics.instance_counts, total, "instance_counts")
