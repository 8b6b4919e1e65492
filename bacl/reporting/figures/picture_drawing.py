"""Detections on a picture, drawn by Pillow in milliseconds: pictures of job=predict, and videos."""

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bacl.data.batch import Detections
from bacl.messages.shown import shown
from bacl.reporting.figures.letters import drawable
from bacl.reporting.figures.panel import (
    LONGEST,
    MAX_DRAWN,
    Corners,
    DrawnBox,
    captioned,
    chosen_masks,
    free_place,
    tinted,
)
from bacl.reporting.figures.style import HEAD_COLOURS, INK

SIDES = (572, 1600)
"""Pixels of a panel's longer side, at least and at most: others are scaled."""
_ACROSS = 64
"""Heights of letters along the longer side."""
_LINE = 200
"""Characters of a text at most."""
_GAP = 4
"""Pixels between two panels."""


def drawn(
    image: NDArray[np.uint8],
    detections: Mapping[str, Detections],
    names: Sequence[str],
    taken: str,
    sides: tuple[int, int] = SIDES,
) -> NDArray[np.uint8]:
    """One panel per head, side by side, with boxes, and masks where there are any.

    The first panel's picture keeps its pixels where its longer side is within `sides`.

    Args:
        image: (H, W, 3) RGB.
        detections: of every head, in pixels of the image; the best of them are drawn.
        names: the categories' names, by label.
        taken: by what detections were chosen, for the titles.
        sides: least and largest longer side of a panel, in pixels.

    Returns:
        (H', W', 3) uint8 RGB.
    """
    panels = [_panel(image, head, found, names, taken, sides) for head, found in detections.items()]
    gap = np.full((panels[0].shape[0], _GAP, 3), 255, np.uint8)
    parts = [part for panel in panels for part in (gap, panel)][1:]
    return np.concatenate(parts, axis=1)


def _panel(
    image: NDArray[np.uint8],
    head: str,
    found: Detections,
    names: Sequence[str],
    taken: str,
    sides: tuple[int, int],
) -> NDArray[np.uint8]:
    """(H', W', 3): a line of title and the picture below it."""
    scale = float(np.clip(max(image.shape[:2]), *sides)) / max(image.shape[:2])
    boxes = _boxes(found, names, scale)
    picture = Image.fromarray(tinted(image, boxes))
    width, height = (max(1, round(side * scale)) for side in picture.size)
    if scale != 1:
        picture = picture.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    size = max(11, round(max(width, height) / _ACROSS))
    title = size + size // 2
    canvas = Image.new("RGB", (max(width, 20 * size), height + title), "white")
    canvas.paste(picture, (0, title))
    draw = ImageDraw.Draw(canvas)
    count = len(found.labels)
    more = f"{MAX_DRAWN} of " if count > MAX_DRAWN else ""
    _write(draw, (size // 3, size // 6), f"{head} · {more}{count} {taken}", size, INK)
    _outline(draw, boxes, title, max(2, round(size / 6)))
    _caption(draw, boxes, title, (width, height), max(10, size - 2))
    return np.asarray(canvas)


def _boxes(found: Detections, names: Sequence[str], scale: float) -> list[DrawnBox]:
    """The best, in pixels of the scaled picture, with masks in those of the picture."""
    rows = range(min(len(found.labels), MAX_DRAWN))
    corners = (scale * found.boxes[: len(rows)]).tolist()
    labels, scores = found.labels.tolist(), found.scores.tolist()
    masks = chosen_masks(found.masks, rows)
    return [
        DrawnBox(
            tuple(corners[row]),
            captioned(shown(names[labels[row]], LONGEST), scores[row]),
            HEAD_COLOURS[labels[row] % len(HEAD_COLOURS)],
            mask=masks[row],
        )
        for row in rows
    ]


def _outline(draw: ImageDraw.ImageDraw, boxes: Sequence[DrawnBox], down: int, line: int) -> None:
    for box in reversed(boxes):  # the best on top
        left, top, right, bottom = box.corners
        right, bottom = max(left, right), max(top, bottom)
        edge = (left - 1, top + down - 1, right + 1, bottom + down + 1)
        draw.rectangle(edge, outline="white", width=line + 2)
        draw.rectangle((left, top + down, right, bottom + down), outline=box.colour, width=line)


def _caption(
    draw: ImageDraw.ImageDraw,
    boxes: Sequence[DrawnBox],
    down: int,
    sides: tuple[int, int],
    size: int,
) -> None:
    places: list[Corners] = []
    for box in boxes:  # the best ones' captions find a place first
        text, file = drawable(box.caption, _LINE)
        wide = _font(file, size).getlength(text) + size // 2
        x, y = free_place(box.corners, (wide, size * 1.3), sides, places)
        top = y + down - size * 1.3
        draw.rectangle((x, top, x + wide, y + down), fill=box.colour)
        _write(draw, (x + size // 4, top + size * 0.08), box.caption, size, "white")


def _write(
    draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, size: int, colour: str
) -> None:
    text, file = drawable(text, _LINE)
    draw.text(place, text, fill=colour, font=_font(file, size))


@cache
def _font(file: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, size)
