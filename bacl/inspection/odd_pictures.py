"""Pictures that can be used but are unlike the others: turned, grey, blank, long, crowded."""

from collections.abc import Iterator

import numpy as np

from bacl.data.images.traits import Trait
from bacl.inspection.finding import Fault, Finding, Severity
from bacl.inspection.inspected import Inspected, InspectedSplit
from bacl.inspection.picture_facts import PictureFacts
from bacl.inspection.similar_pictures import FLAT

SLENDER = 4.0
"""Long over short side of a picture from which on it is told."""
CROWD = 150
"""Objects of a picture from which on it is told: half of what an evaluation counts."""
ODD = 0.5
"""Share of the pictures up to which grey ones are the odd ones."""

UNDECIDED = Fault(
    "undecided_orientation",
    Severity.WARNING,
    "pictures have an EXIF orientation that the annotated size does not decide",
    "they are read as viewers show them, which is wrong where the stored picture was annotated",
    "look at some with their boxes; datamodule.orientation=stored reads them as stored",
)
STORED = Fault(
    "stored_orientation",
    Severity.NOTE,
    "pictures are annotated as stored, not as viewers show them",
    "they are read as stored, as their annotated size says",
    "none; in prediction such pictures are read upright",
)
GREY = Fault(
    "grey_pictures",
    Severity.NOTE,
    "pictures are grey among coloured ones",
    "grey is repeated for red, green and blue",
    "none, where such pictures are to be expected later, too",
)
BLANK = Fault(
    "blank_pictures",
    Severity.WARNING,
    "pictures show nothing but one colour",
    "nothing can be learnt from them, or found in them",
    "look at them; datamodule.leave_out=… goes on without them",
)
DEEP = Fault(
    "deep_or_animated_pictures",
    Severity.NOTE,
    "pictures have more than 8 bits, or several frames",
    "8 bits of the first frame are read",
    "none, unless the rest is needed",
)
LONG_PICTURES = Fault(
    "long_pictures",
    Severity.NOTE,
    f"pictures are at least {SLENDER:g} times as long as wide",
    "the limit of the long side makes them, and their objects, small",
    "cut them into parts",
)
CROWDED = Fault(
    "crowded_pictures",
    Severity.NOTE,
    f"pictures have at least {CROWD} objects",
    "300 detections of a picture count in the evaluation",
    "cut them into parts, if need be",
)


def odd_pictures(data: Inspected) -> Iterator[Finding]:
    """A finding for each kind in each split."""
    for split in data.splits:
        if split.pictures is not None:
            yield from _of_files(split, split.pictures)
        sizes = split.table.image_sizes
        long = sizes.max(axis=1) >= SLENDER * sizes.min(axis=1)
        yield from split.pictures_with(LONG_PICTURES, split.used & long)
        counts = np.bincount(split.owners[split.objects], minlength=len(sizes))
        yield from split.pictures_with(CROWDED, counts >= CROWD)


def _of_files(split: InspectedSplit, facts: PictureFacts) -> Iterator[Finding]:
    def have(traits: Trait) -> np.ndarray:
        return facts.good & (facts.traits & int(traits) > 0)

    yield from split.pictures_with(UNDECIDED, have(Trait.UNDECIDED))
    yield from split.pictures_with(
        STORED, facts.good & facts.stored_is_annotated & (facts.orientation > 1)
    )
    grey = facts.good & facts.grey
    if grey.sum() <= ODD * facts.good.sum():
        yield from split.pictures_with(GREY, grey)
    yield from split.pictures_with(BLANK, facts.good & (facts.thumbnails.std(axis=1) <= FLAT))
    yield from split.pictures_with(DEEP, have(Trait.DEEP | Trait.FRAMES))
