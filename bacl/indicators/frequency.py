"""Static indicators: image and instance frequency in the training annotations (Tab. II)."""

from torch import Tensor

from bacl.indicators.base import COUNT_FLOOR, ScalarIndicator
from bacl.indicators.counts import Counts, counts_of
from bacl.options.ranges import Classes


class _Frequency(ScalarIndicator):
    floor = COUNT_FLOOR
    counts: Tensor

    def __init__(self, num_classes: int, counts: Tensor) -> None:
        super().__init__(num_classes)
        self.register_buffer("counts", counts)

    def values(self) -> Tensor:
        """(C,) int64 counts: their ratios are those of the frequencies."""
        return self.counts


class ImageFrequency(_Frequency):
    """f_i, the fraction of training images that contain class i.

    Args:
        num_classes: C.
        statistics: of the training annotations.
    """

    def __init__(self, num_classes: Classes, statistics: Counts) -> None:
        super().__init__(num_classes, counts_of(statistics, "image_counts", num_classes))
        self.num_images = max(1, int(statistics.num_images))

    def strength(self) -> Tensor:
        """See `LongTermIndicator.strength`."""
        return (self.counts.double() / self.num_images).clamp(max=1).float()


class InstanceFrequency(_Frequency):
    """F_i, the fraction of training instances that are of class i.

    Args:
        num_classes: C.
        statistics: of the training annotations.
    """

    def __init__(self, num_classes: Classes, statistics: Counts) -> None:
        super().__init__(num_classes, counts_of(statistics, "instance_counts", num_classes))

    def strength(self) -> Tensor:
        """See `LongTermIndicator.strength`."""
        return (self.counts.double() / self.counts.sum().clamp(min=1)).float()
