"""YOLO's text files: an object on each line, in shares of the picture's sides.

`class x y width height` is a box by its centre, `class x1 y1 x2 y2 x3 y3 …` a polygon.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bacl.data.annotations.validation import AnnotationError
from bacl.messages.shown import written

BOX = 5
"""Numbers of a box with its class; a polygon has 7 or more, an odd number."""
LONGEST = 9
"""Digits of a class."""
SLACK = 1e-3
"""Of a side: what rounding may put beyond it."""
FIELDS = ("x", "y", "width", "height")


def read_labels(path: Path, names: Sequence[str], width: int, height: int) -> list[dict[str, Any]]:
    """Objects of a file as COCO's annotations, with the `name` of their category.

    Args:
        path: of the file; one without a line is of a picture without objects.
        names: of the categories.
        width: of the picture, in pixels.
        height: of the picture, in pixels.

    Raises:
        AnnotationError: names the line and what is expected there.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationError(path, "", f"cannot be read ({error})") from error
    found = []
    for number, line in enumerate(lines, 1):
        if line.split():
            found.append(_object(_Line(path, number, line.split()), names, width, height))
    return found


class _Line:
    def __init__(self, path: Path, number: int, words: Sequence[str]) -> None:
        self.path, self.at, self.words = path, f"line {number}", words

    def error(self, problem: str, field: str = "") -> AnnotationError:
        return AnnotationError(self.path, f"{self.at}{field and f', {field}'}", problem)

    def label(self, names: Sequence[str]) -> str:
        word = self.words[0]
        if not word.isdecimal() or len(word) > LONGEST or int(word) >= len(names):
            known = f"a class from 0 to {len(names) - 1} ({len(names)} names in data.yaml)"
            raise self.error(f"{written(word)}, expected {known}", "class")
        return names[int(word)]

    def share(self, place: int, field: str) -> float:
        word = self.words[place]
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not -SLACK <= value <= 1 + SLACK:
            pixels = " (pixels? divide by the picture's side)" if value > 1 else ""
            raise self.error(
                f"{written(word)}, expected a share of the picture from 0 to 1{pixels}", field
            )
        return value


def _object(line: _Line, names: Sequence[str], width: int, height: int) -> dict[str, Any]:
    count = len(line.words)
    name = line.label(names)
    if count == BOX:
        return {"name": name} | _box(line, width, height)
    if count < 7 or not count % 2:
        raise line.error(
            f"has {count} numbers, expected 5 (class, x, y, width, height: a box) or an odd number "
            "from 7 on (class and the corners of a polygon)"
        )
    return {"name": name} | _polygon(line, width, height)


def _box(line: _Line, width: int, height: int) -> dict[str, Any]:
    x, y, w, h = (line.share(place, field) for place, field in enumerate(FIELDS, 1))
    for value, field in ((w, "width"), (h, "height")):
        if value <= 0:
            raise line.error(f"{value:g}, expected more than 0; take the line out", field)
    sides = ((x, w, "x", "width"), (y, h, "y", "height"))
    for centre, side, place, field in sides:
        if centre - side / 2 < -SLACK or centre + side / 2 > 1 + SLACK:
            raise line.error(
                f"{place}={centre:g} with {field}={side:g} leads out of the picture: the box goes "
                f"from {centre - side / 2:g} to {centre + side / 2:g}, expected within 0 to 1",
                field,
            )
    left, right = _clipped(x - w / 2, x + w / 2, width)
    top, bottom = _clipped(y - h / 2, y + h / 2, height)
    return _record([left, top, right - left, bottom - top])


def _polygon(line: _Line, width: int, height: int) -> dict[str, Any]:
    shares = [line.share(n, f"number {n + 1}") for n in range(1, len(line.words))]
    xs = [_inside(x) * width for x in shares[0::2]]
    ys = [_inside(y) * height for y in shares[1::2]]
    corners = list(zip(xs, ys, strict=True))
    following = [*corners[1:], corners[0]]
    pairs = zip(corners, following, strict=True)
    area = abs(sum(a * d - b * c for (a, b), (c, d) in pairs)) / 2
    if area == 0:
        raise line.error("a polygon without area; take the line out")
    box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
    flat = [value for corner in corners for value in corner]
    return _record(box) | {"segmentation": [flat], "area": area}


def _record(box: Sequence[float]) -> dict[str, Any]:
    return {"bbox": list(box), "area": box[2] * box[3], "iscrowd": 0}


def _clipped(low: float, high: float, side: int) -> tuple[float, float]:
    return _inside(low) * side, _inside(high) * side


def _inside(share: float) -> float:
    return min(max(share, 0.0), 1.0)
