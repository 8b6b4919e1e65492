"""Images that have, box for box and label for label, the annotations of another one."""

from collections.abc import Iterator

import numpy as np

from bacl.inspection.finding import KEPT, Fault, Finding, Severity
from bacl.inspection.inspected import Inspected, InspectedSplit

FEWEST = 2
"""Annotations of an image: one box, over all of the picture, may be a coincidence."""
_STEP = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
"""Of the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014)."""

COPIED = Fault(
    "same_annotations",
    Severity.WARNING,
    "images have exactly the annotations of another image",
    "boxes were copied to a picture in which they are wrong, or one scene is there twice",
    "look at both; annotate one anew, or leave it out",
)


def repeated_annotations(data: Inspected) -> Iterator[Finding]:
    """A finding for each split in which images share all of their annotations."""
    for split in data.splits:
        groups = same_annotations(split)
        if groups:
            yield Finding(
                fault=COPIED,
                split=split.name,
                count=sum(len(group) - 1 for group in groups),
                total=split.table.num_images,
                places=[tuple(map(split.place, group.tolist())) for group in groups[:KEPT]],
            )


def same_annotations(split: InspectedSplit) -> list[np.ndarray]:
    """Groups of images with the same annotations; not those whose files are the same anyhow."""
    offsets, marks = split.table.offsets, _marks(split)
    rows = np.flatnonzero(np.diff(offsets) >= FEWEST)
    _, group, sizes = np.unique(marks[rows], return_inverse=True, return_counts=True)
    shared = rows[np.argsort(group, kind="stable")][np.repeat(sizes, sizes) > 1]
    cuts = np.flatnonzero(np.diff(marks[shared]) != 0) + 1
    groups = np.split(shared, cuts) if len(shared) else []
    return [images for images in groups if not _one_file(split, images)]


def _marks(split: InspectedSplit) -> np.ndarray:
    """(I,) uint64, the same for the same annotations in any order: a sum of what each one gives."""
    table = split.table
    hundredths = np.rint(100 * table.boxes).astype(np.int64).view(np.uint64)
    mixed = np.zeros(table.num_annotations, dtype=np.uint64)
    for column in (table.labels.astype(np.uint64), *hundredths.T):
        mixed = _mixed(mixed ^ column)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)])
    return sums[table.offsets[1:]] - sums[table.offsets[:-1]]


def _mixed(values: np.ndarray) -> np.ndarray:
    """Every bit of a result depends on all of its value's."""
    values = values + _STEP
    values = (values ^ (values >> np.uint64(30))) * _FACTORS[0]
    values = (values ^ (values >> np.uint64(27))) * _FACTORS[1]
    return values ^ (values >> np.uint64(31))


def _one_file(split: InspectedSplit, images: np.ndarray) -> bool:
    facts = split.pictures
    return facts is not None and bool(
        facts.good[images].all() and (facts.digests[images] == facts.digests[images[0]]).all()
    )
