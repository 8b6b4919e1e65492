"""An XML file of Pascal VOC: what is in a picture."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any
from xml.etree import ElementTree

from bacl.data.annotations.validation import AnnotationError
from bacl.data.formats.labelled_folder import Objects
from bacl.messages.errors import in_one_line
from bacl.messages.shown import written

LARGEST = 10_000_000
"""Bytes of a file; a picture of a thousand objects has 400,000."""
LONGEST_NUMBER = 10
"""Digits of a side."""
CORNERS = ("xmin", "ymin", "xmax", "ymax")
SLACK = 1.0
"""Pixels that a box may lie beyond its picture: some tools count from 0."""


@dataclass(frozen=True)
class Described:
    """What a file says."""

    path: Path
    filename: str | None
    """Of the picture, without folders."""
    size: tuple[int, int] | None
    """Width and height of the picture that was annotated, in pixels; None where it is not said."""
    found: Sequence[Mapping[str, Any]]
    """For each object its `name`, `corners` in pixels, and whether it is `difficult`."""

    def objects(self, width: int, height: int) -> Objects:
        """Annotations of a picture of this size, in pixels.

        Raises:
            AnnotationError: a box lies beyond the picture.
        """
        return Objects(width, height, [self._record(n, width, height) for n in self._numbers()])

    def _numbers(self) -> range:
        return range(len(self.found))

    def _record(self, number: int, width: int, height: int) -> dict[str, Any]:
        each = self.found[number]
        left, top, right, bottom = each["corners"]
        sides = (width, height, width, height)
        for value, side, field in zip(each["corners"], sides, CORNERS, strict=True):
            if not -SLACK <= value <= side + SLACK:
                raise AnnotationError(
                    self.path,
                    f"object {number + 1}, bndbox.{field}",
                    f"{value:g}, but the picture has {width} x {height} pixels",
                )
        x, y = max(left - 1, 0.0), max(top - 1, 0.0)  # counted from 1, and the last one inside
        w, h = max(min(right, width) - x, 0.0), max(min(bottom, height) - y, 0.0)
        record = {"name": each["name"], "bbox": [x, y, w, h], "area": w * h, "iscrowd": 0}
        return record | ({"ignore": 1} if each["difficult"] else {})


def read_xml(path: Path) -> Described:
    """What a file says; nothing outside of it is looked at.

    Raises:
        AnnotationError: names the object and the field.
    """
    root = _parsed(path)
    found = [_object(path, number, each) for number, each in enumerate(root.iter("object"), 1)]
    named = PureWindowsPath(_text(root, "filename") or "").name  # of any system
    return Described(path, named or None, _size(root), found)


def _size(root: ElementTree.Element) -> tuple[int, int] | None:
    said = [_text(root, f"size/{side}") or "" for side in ("width", "height")]
    if not all(text.isdecimal() and 0 < len(text) < LONGEST_NUMBER for text in said):
        return None
    width, height = map(int, said)
    return (width, height) if width and height else None


class _DoctypeError(Exception):
    """A file has a document type."""


class _PlainXML(ElementTree.TreeBuilder):
    """Takes no document type, in any encoding: its entities expand without end, or name files."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise _DoctypeError


def _parsed(path: Path) -> ElementTree.Element:
    try:
        content = path.read_bytes()
        if len(content) > LARGEST:
            raise AnnotationError(path, "", f"has over {LARGEST:,} bytes")
        return ElementTree.fromstring(content, ElementTree.XMLParser(target=_PlainXML()))
    except _DoctypeError as error:
        problem = "has a DOCTYPE, which may declare entities; expected plain XML"
        raise AnnotationError(path, "", problem) from error
    except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
        if isinstance(error, AnnotationError):
            raise
        problem = f"is no XML ({in_one_line(error)}); mend it, or take it and its picture out"
        raise AnnotationError(path, "", problem) from error


def _object(path: Path, number: int, node: ElementTree.Element) -> dict[str, Any]:
    at = f"object {number}"
    name = _text(node, "name")
    if not name:
        raise AnnotationError(path, f"{at}, name", "is missing, expected the category")
    corners = dict(_corners(path, at, node))
    for low, high in (("xmin", "xmax"), ("ymin", "ymax")):
        if corners[low] > corners[high]:
            problem = f"{corners[high]:g}, expected at least {low}={corners[low]:g}"
            raise AnnotationError(path, f"{at}, bndbox.{high}", problem)
    difficult = (_text(node, "difficult") or "0").lower() not in ("0", "false", "no")
    return {"name": name, "corners": [corners[key] for key in CORNERS], "difficult": difficult}


def _corners(path: Path, at: str, node: ElementTree.Element) -> Iterator[tuple[str, float]]:
    for key in CORNERS:
        text = _text(node, f"bndbox/{key}")
        try:
            value = float(text or "")
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            problem = "is missing" if text is None else written(text)
            raise AnnotationError(path, f"{at}, bndbox.{key}", f"{problem}, expected pixels")
        yield key, value


def _text(node: ElementTree.Element, path: str) -> str | None:
    found = node.find(path)
    return None if found is None or found.text is None else found.text.strip()
