"""Pictures that a training refuses: missing, unreadable, of another size than annotated."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from bacl.data.images.image_files import quoted
from bacl.inspection.finding import Fault, Finding, Severity
from bacl.inspection.inspected import Inspected, InspectedSplit
from bacl.inspection.picture_facts import State

LIST = "unusable.txt"
"""File beside the results with the names of all that cannot be used."""
_NAMED = 10
_STOPS = "the training stops before its first step"
_MEND = "bring the files, or go on without them: datamodule.leave_out="
FAULTS = {
    State.MISSING: Fault(
        "missing_pictures", Severity.ERROR, "pictures are not there", _STOPS, _MEND
    ),
    State.UNREADABLE: Fault(
        "unreadable_pictures", Severity.ERROR, "pictures cannot be read", _STOPS, _MEND
    ),
    State.OTHER_SIZE: Fault(
        "other_size",
        Severity.ERROR,
        "pictures have another size than the annotation file says",
        _STOPS,
        _MEND,
    ),
}


def unusable_pictures(data: Inspected) -> Iterator[Finding]:
    """A finding for each reason in each split."""
    for split in data.splits:
        if split.pictures is not None:
            for state, fault in FAULTS.items():
                yield from _of(split, fault, split.pictures.state == state)


def _of(split: InspectedSplit, fault: Fault, bad: np.ndarray) -> Iterator[Finding]:
    problems = split.pictures.problems if split.pictures else {}
    names = [split.table.file_name(row) for row in np.flatnonzero(bad)[: _NAMED + 1].tolist()]
    listed = quoted(names) if len(names) <= _NAMED else f"…/{LIST}"
    told = replace(fault, mend=fault.mend + listed)
    yield from split.pictures_with(told, bad, lambda image: problems[image])


def unusable_names(data: Inspected) -> list[str]:
    """File names of the pictures that a training would stop at."""
    return [
        split.table.file_name(image)
        for split in data.splits
        if split.pictures is not None
        for image in split.pictures.problems
    ]
