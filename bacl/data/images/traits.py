"""What is worth telling of pictures that can be read: not all of a file reaches the network."""

from collections.abc import Iterator
from enum import IntFlag

import numpy as np
from PIL import Image

from bacl.data.images.orientation import Fit, exif_orientation
from bacl.data.images.pixels import is_deep


class Trait(IntFlag):
    """Of one picture."""

    DEEP = 1
    FRAMES = 2
    UNDECIDED = 4


_TOLD = {
    Trait.DEEP: "more than 8 bits or floating-point pixels, which are scaled by their range",
    Trait.FRAMES: "several frames or pages, of which the first is taken",
    Trait.UNDECIDED: "an EXIF orientation that the annotated size does not decide, and are read "
    "{orientation} (datamodule.orientation)",
}


def traits_of(picture: Image.Image, fits: Fit | None) -> Trait:
    """The traits of an opened picture, before its pixels are read.

    Args:
        picture: the opened file.
        fits: which of its pictures has the annotated size; None where nothing is annotated.
    """
    traits = Trait(0)
    if is_deep(picture):
        traits |= Trait.DEEP
    if picture.format != "MPO" and getattr(picture, "is_animated", False):
        traits |= Trait.FRAMES  # a JPEG's further ones are previews of it
    if fits is Fit.BOTH and exif_orientation(picture) > 1:
        traits |= Trait.UNDECIDED
    return traits


def told_traits(name: str, traits: np.ndarray, orientation: str) -> Iterator[str]:
    """A line for each trait that any of (n,) int64 `traits` has, with the number of pictures."""
    for trait, text in _TOLD.items():
        count = int((traits & int(trait) > 0).sum())
        if count:
            told = text.format(orientation=orientation)
            yield f"{name}: {count:,} of {len(traits):,} pictures have {told}"
