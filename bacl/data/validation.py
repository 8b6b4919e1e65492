"""What is said of a bad annotation file: one error that names file, record and field."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bacl.errors import UserError

SECTIONS = ("images", "annotations", "categories")
"""The three arrays of a COCO- or LVIS-format file."""


class AnnotationError(UserError, ValueError):
    """An annotation file that cannot be used; says where it is wrong and what belongs there."""

    def __init__(self, file: Path, place: str, problem: str) -> None:
        super().__init__(f"{file}: {place}: {problem}" if place else f"{file}: {problem}")


def shown(value: object, limit: int = 60) -> str:
    """`value` as it stands in an error message, cut to `limit` characters."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def check_identifier(file: Path, place: str, record: Mapping[str, Any], field: str) -> None:
    """Raise unless `record[field]` is a 64-bit integer."""
    if field not in record:
        raise AnnotationError(file, f"{place}.{field}", "is missing, expected an integer")
    value = record[field]
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise AnnotationError(file, f"{place}.{field}", f"{shown(value)}, expected an integer")


def check_positive(file: Path, place: str, record: Mapping[str, Any], field: str) -> None:
    """Raise unless `record[field]` is a positive integer (a height or width in pixels)."""
    check_identifier(file, place, record, field)
    if not 0 < record[field] < 2**31:
        problem = f"{record[field]}, expected a number of pixels above 0"
        raise AnnotationError(file, f"{place}.{field}", problem)


def check_text(file: Path, place: str, record: Mapping[str, Any], field: str) -> None:
    """Raise unless `record[field]` is a text that is not empty."""
    value = record.get(field)
    if not isinstance(value, str) or not value:
        found = shown(value) if field in record else "is missing"
        raise AnnotationError(file, f"{place}.{field}", f"{found}, expected a text")


def check_annotation(file: Path, place: str, record: Mapping[str, Any]) -> None:
    """Raise for the first field of an annotation that cannot be stored (its segmentation aside)."""
    for field in ("id", "image_id", "category_id"):
        check_identifier(file, place, record, field)
    check_box(file, place, record.get("bbox"), found="bbox" in record)
    area = record.get("area")
    if area is not None and not (_is_number(area) and math.isfinite(area)):
        raise AnnotationError(file, f"{place}.area", f"{shown(area)}, expected a number of pixels")
    for field in ("iscrowd", "ignore"):
        if record.get(field, 0) not in (0, 1):
            problem = f"{shown(record[field])}, expected 0 or 1"
            raise AnnotationError(file, f"{place}.{field}", problem)


def check_box(file: Path, place: str, box: object, found: bool = True) -> None:
    """Raise unless `box` is a list of four finite numbers."""
    numbers = isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))
    if not numbers or not all(map(math.isfinite, box)):  # type: ignore[call-overload]
        what = shown(box) if found else "is missing"
        raise AnnotationError(file, f"{place}.bbox", f"{what}, expected [x, y, width, height]")


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


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
