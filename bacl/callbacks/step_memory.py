"""What a training step takes of memory, and what one of the largest batch would take.

What lies there all the time (weights, statistics, gradients, the optimiser's) stays as it is. What
a step takes beyond grows with its images: what is made of whole images with their pixels, too, but
not what is made of RoIs, of which an image gives the same number whatever its size.
"""

from dataclasses import dataclass
from typing import Any

from bacl.callbacks.smaller_batch import images_of
from bacl.speed.device_memory import GIB

Shape = tuple[int, int, int]
"""Images, height and width of a padded batch."""


@dataclass(frozen=True)
class StepMemory:
    """Of a process, in bytes."""

    base: int
    """What is taken between steps."""
    peak: int
    """In the steps that were measured."""
    limit: int
    shape: Shape
    """Of their largest batch."""
    largest: Shape | None
    """Of the largest one to come; None where that is not known."""
    of_images: int = 0
    """The peak, beyond the base, until a step had its first RoIs; 0 where it has none."""
    of_rois: int = 0
    """What a step took from its first RoIs to the end of its losses, and keeps for gradients."""

    @property
    def growth(self) -> float:
        """Pixels of an image of the largest batch over those that were measured, at least 1."""
        _, height, width = self.shape
        _, most_height, most_width = self.largest or self.shape
        return max(1.0, most_height * most_width / (height * width))

    @property
    def images(self) -> int:
        """Of the largest batch."""
        return (self.largest or self.shape)[0]

    @property
    def each(self) -> float:
        """The peak beyond the base for an image of the largest batch.

        It may lie where only the images are there, or later with what RoIs give; where they take
        little, a peak among the gradients of the images is taken for one with them.
        """
        later = self.peak - self.base
        of_rois = min(self.of_rois, later)
        grown = self.growth * (later - of_rois) + of_rois
        return max(grown, self.growth * min(self.of_images, later)) / self.shape[0]

    @property
    def expected(self) -> float:
        """The peak with the largest batch."""
        return self.base + self.images * self.each

    @property
    def share(self) -> float:
        """The expected peak, of what there is."""
        return self.expected / self.limit

    @property
    def fitting(self) -> int:
        """Images of which the largest batch fits."""
        return int((self.limit - self.base) / self.each) if self.each > 0 else self.images

    def told(self, device: str) -> str:
        """In words, what is measured and what is estimated."""
        measured, *sides = self.shape
        text = (
            f"{self.peak / GIB:.1f} GiB on {device}, measured with {images_of(measured)} of "
            f"{_sides(sides)}"
        )
        others = f"{images_of(self.images)} of " if self.images != measured else ""
        if self.largest and (self.growth > 1 or others):
            text += (
                f"; about {self.expected / GIB:.1f} with {others}{_sides(self.largest[1:])}, the "
                "largest that the data can give (estimated)"
            )
        return f"{text}; there are {self.limit / GIB:.1f}"


def _sides(sides: Any) -> str:
    height, width = sides
    return f"{height} x {width} pixels"
