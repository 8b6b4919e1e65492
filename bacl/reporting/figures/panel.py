"""An image with boxes, captions and masks on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from bacl.data.batch import RunLengths
from bacl.reporting.figures.letters import label

MAX_DRAWN = 25  # boxes in one panel; the best ones, a picture with more cannot be read
PANEL = 4.4  # inches
TINT = 0.5  # share of a mask's colour in its pixels
LONGEST = 24  # characters of a name at a box
HALO = 1.75  # white edge of a box, in widths of its line

Corners = tuple[float, float, float, float]


class Outline(Enum):
    """How a box is drawn: width and style of its line."""

    SOLID = (1.7, "-")
    DASHED = (1.7, (0, (3, 2)))
    THIN = (0.8, "-")

    @property
    def options(self) -> dict[str, Any]:
        """Matplotlib's, of a line or a patch."""
        return dict(zip(("linewidth", "linestyle"), self.value, strict=True))


@dataclass(frozen=True)
class DrawnBox:
    """One rectangle with its caption, in pixels."""

    corners: Corners
    caption: str
    colour: str
    outline: Outline = Outline.SOLID
    mask: NDArray[np.bool_] | None = None
    """(H, W), the shape of the object."""


def draw_panel(
    axes: Axes,
    image: NDArray[np.uint8],
    boxes: Sequence[DrawnBox],
    title: str,
    inches: float = PANEL,
) -> None:
    """Draw an image (H, W, 3) with boxes on it.

    Args:
        axes: the panel.
        image: RGB.
        boxes: best first, so that the best ones' captions find a place first.
        title: above the image.
        inches: length of the image's longer side in the figure.
    """
    height, width = image.shape[:2]
    axes.imshow(tinted(image, boxes), interpolation="antialiased", extent=(0, width, height, 0))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    axes.set_title(title, fontsize=9.5, loc="center")
    for box in boxes:
        axes.add_patch(_rectangle(box))
    pixel = max(width, height) / (inches * 72)  # image pixels per point
    taken: list[Corners] = []
    for box in boxes:
        sides = (len(box.caption) * 4.0 + 3) * pixel, 10.5 * pixel
        x, y = free_place(box.corners, sides, (width, height), taken)
        axes.text(
            x, y, box.caption, fontsize=6.5, color="white", va="bottom", ha="left", zorder=5,
            bbox={"facecolor": box.colour, "edgecolor": "none", "pad": 1.2, "alpha": 0.9},
        )  # fmt: skip


def caption(name: str, score: float | None = None) -> str:
    """What stands at an object or a detection: heads of many sigmoids score far below 0.01.

    >>> caption("cup"), caption("cup", 0.876), caption("cup", 0.00123)
    ('cup', 'cup 0.88', 'cup 0.0012')
    """
    return captioned(label(name, LONGEST), score)


def captioned(name: str, score: float | None = None) -> str:
    """The same of a name that can be shown as it is."""
    if score is None:
        return name
    return f"{name} {score:.2f}" if score >= 0.01 else f"{name} {score:.2g}"


def chosen_masks(
    masks: Sequence[RunLengths] | None, rows: Sequence[int]
) -> list[NDArray[np.bool_] | None]:
    """The masks of `rows`, (H, W) each; None for all without masks."""
    if masks is None or not len(rows):
        return [None] * len(rows)
    return list(coco_mask.decode([masks[row] for row in rows]).astype(bool).transpose(2, 0, 1))


def _rectangle(box: DrawnBox) -> Rectangle:
    left, top, right, bottom = box.corners
    halo = HALO * box.outline.options["linewidth"]
    return Rectangle(
        (left, top), right - left, bottom - top, fill=False, edgecolor=box.colour,
        path_effects=[withStroke(linewidth=halo, foreground="white", alpha=0.7)],
        **box.outline.options,
    )  # fmt: skip


def tinted(image: NDArray[np.uint8], boxes: Sequence[DrawnBox]) -> NDArray[np.uint8]:
    """The picture under the boxes' masks, the best on top."""
    tinted = image.copy()
    for box in reversed(boxes):
        if box.mask is not None:
            colour = 255 * np.array(to_rgb(box.colour))
            tinted[box.mask] = TINT * colour + (1 - TINT) * image[box.mask]
    return tinted


def free_place(
    corners: Corners,
    sides: tuple[float, float],
    image: tuple[int, int],
    taken: list[Corners],
) -> tuple[float, float]:
    """Lower left corner of a caption: at a corner of its box where no other caption is yet.

    Args:
        corners: of the box.
        sides: width and height of the caption.
        image: width and height of the picture, in the same pixels.
        taken: captions so far; this one joins them.
    """
    (left, top, right, bottom), (wide, tall), (width, height) = corners, sides, image
    x = min(max(left, 0.0), max(width - wide, 0.0))
    x_right = min(max(right - wide, 0.0), max(width - wide, 0.0))
    spots = [(x, top), (x, bottom + tall), (x_right, top), (x_right, bottom + tall)]
    spots += [(x, top + step * tall) for step in range(1, 6)]
    inside = [(a, min(max(b, tall), float(height))) for a, b in spots]
    places = [(a, b - tall, a + wide, b) for a, b in inside]
    free = (place for place in places if not any(_overlap(place, other) for other in taken))
    taken.append(next(free, places[0]))
    return taken[-1][0], taken[-1][3]


def _overlap(first: Corners, second: Corners) -> bool:
    return (
        first[0] < second[2]
        and second[0] < first[2]
        and first[1] < second[3]
        and second[1] < first[3]
    )
