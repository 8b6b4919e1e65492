"""What is said of a bad annotation file: one error that names file, record and field."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bacl.messages.errors import UserError
from bacl.messages.shown import written

SECTIONS = ("images", "annotations", "categories")
"""The three arrays of a COCO- or LVIS-format file."""
FARTHEST = 1e6
"""Pixels: no picture is larger."""
LARGEST = 2**32
"""Pixels in all of a picture: run lengths are 32-bit numbers in every tool."""
NUMBERS = frozenset((int, float))
"""The types of a number; `bool`, which Python takes for one, is none."""


class AnnotationError(UserError, ValueError):
    """A file of annotations or results that cannot be used; says where and what belongs there."""

    def __init__(self, file: Path, place: str, problem: str) -> None:
        super().__init__(f"{file}: {place}: {problem}" if place else f"{file}: {problem}")


class MissingAnnotationsError(UserError, FileNotFoundError):
    """There is no annotation file of that name."""


def check_identifier(file: Path, place: str, record: Mapping[str, Any], field: str) -> None:
    """Raise unless `record[field]` is a 64-bit integer."""
    if field not in record:
        raise AnnotationError(file, f"{place}.{field}", "is missing, expected an integer")
    value = record[field]
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise AnnotationError(file, f"{place}.{field}", f"{written(value)}, expected an integer")


def check_size(file: Path, place: str, record: Mapping[str, Any]) -> None:
    """Raise unless `height` and `width` are whole pixels of a picture that can be."""
    for field in ("height", "width"):
        check_identifier(file, place, record, field)
        if not 0 < record[field] <= FARTHEST:
            problem = f"{written(record[field])}, expected pixels from 1 to {FARTHEST:.0f}"
            raise AnnotationError(file, f"{place}.{field}", problem)
    if record["height"] * record["width"] >= LARGEST:
        problem = f"{record['height']} x {record['width']} pixels are more than masks can have"
        raise AnnotationError(file, place, problem)


def check_text(file: Path, place: str, record: Mapping[str, Any], field: str) -> None:
    """Raise unless `record[field]` is a text that is not empty and can be written."""
    value = record.get(field)
    if not isinstance(value, str) or not value:
        found = written(value) if field in record else "is missing"
        raise AnnotationError(file, f"{place}.{field}", f"{found}, expected a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        problem = f"{written(value)} holds half a character, expected a text"
        raise AnnotationError(file, f"{place}.{field}", problem) from None


def check_annotation(file: Path, place: str, record: Mapping[str, Any]) -> None:
    """Raise for the first field of an annotation that cannot be stored (its segmentation aside)."""
    for field in ("id", "image_id", "category_id"):
        check_identifier(file, place, record, field)
    check_box(file, place, record.get("bbox"), found="bbox" in record)
    area = record.get("area")
    if area is not None and not is_number(area, FARTHEST**2):
        raise AnnotationError(
            file, f"{place}.area", f"{written(area)}, expected a number of pixels"
        )
    for field in ("iscrowd", "ignore"):
        value = record.get(field, 0)
        if type(value) not in (int, bool) or value not in (0, 1):
            raise AnnotationError(file, f"{place}.{field}", f"{written(value)}, expected 0 or 1")


def check_box(file: Path, place: str, box: object, found: bool = True) -> None:
    """Raise unless `box` is a list of four numbers of pixels."""
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
        what = written(box) if found else "is missing"
        raise AnnotationError(file, f"{place}.bbox", f"{what}, expected [x, y, width, height]")


def is_number(value: object, limit: float = FARTHEST) -> bool:
    """Whether `value` is a number, finite and within `limit` of 0: what pixels can be."""
    return type(value) in NUMBERS and abs(value) <= limit  # type: ignore[arg-type]


def check_unique(file: Path, section: str, identifiers: np.ndarray) -> None:
    """Raise if an id of (N,) `identifiers`, in file order, occurs twice."""
    order = np.argsort(identifiers, kind="stable")
    twice = np.flatnonzero(np.diff(identifiers[order]) == 0)
    if len(twice):
        first, second = order[twice[0]], order[twice[0] + 1]
        problem = f"{identifiers[first]} is already the id of {section}[{first}]"
        raise AnnotationError(file, f"{section}[{second}].id", problem)


def positions(
    file: Path,
    place: Callable[[int], str],
    references: np.ndarray,
    identifiers: np.ndarray,
    kind: str,
) -> np.ndarray:
    """Which record each reference points at.

    Args:
        file: The annotation file, for the error.
        place: Names the field that holds reference number n, such as "annotations[n].image_id".
        references: (N,) ids that point at records.
        identifiers: (M,) ids of the records, each once, in any order.
        kind: What the records are ("image", "category"), for the error.

    Returns:
        (N,) int64 indices into `identifiers`.

    Raises:
        AnnotationError: if a reference points at no record.
    """
    order = np.argsort(identifiers)
    found = np.searchsorted(identifiers, references, sorter=order)
    indices = order[np.minimum(found, len(identifiers) - 1)]
    known = identifiers[indices] == references
    if not known.all():
        bad = int(np.argmin(known))
        problem = f"{references[bad]} is not the id of any {kind} of this file"
        raise AnnotationError(file, place(bad), problem)
    return indices
