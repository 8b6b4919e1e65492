"""Scenes of the built-in data set: where glyphs stand, and how the picture is drawn.

A scene is composed first (vector outlines only) and drawn after, so a data set without pictures
has the same annotations as one with them.
"""

from colorsys import hsv_to_rgb
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bacl.data.builtin.glyphs import Glyph, Points

TRIES = 48
"""Places that are drawn for an object before it is made smaller."""
SHRINK = 0.85
SUPERSAMPLING = 4
GRAIN = 4.0
"""Standard deviation of the pixels' noise, of 255."""
PATCHES = 18.0
"""Largest deviation of the background's soft patches, of 255."""


@dataclass(frozen=True)
class SceneRules:
    """What every scene of a data set keeps to."""

    image_size: int
    """Height and width in pixels."""
    objects_per_image: tuple[int, int]
    """Fewest and most; an image with more categories than that has one object of each."""
    object_size: tuple[float, float]
    """Longest side of an upright glyph in pixels, log-uniform between these."""
    max_rotation: float
    """In degrees, to either side."""
    max_overlap: float
    """Largest share of the smaller of two boxes that the other may cover."""


@dataclass(frozen=True)
class PlacedGlyph:
    """One object of a scene."""

    label: int
    glyph: Glyph
    corners: Points
    """(P, 2): the glyph's points in the image, in pixels, rounded to 0.01."""
    size: float
    """Longest side of the upright glyph in pixels."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(x1, y1, x2, y2) around the corners."""
        (x1, y1), (x2, y2) = self.corners.min(axis=0), self.corners.max(axis=0)
        return float(x1), float(y1), float(x2), float(y2)

    @property
    def area(self) -> float:
        """Of the ink, in square pixels."""
        return self.glyph.area * self.size**2

    def segmentation(self) -> list[list[float]]:
        """Polygons as the annotation file has them: x, y, x, y, ..."""
        return [self.corners[polygon].ravel().tolist() for polygon in self.glyph.polygons]


def compose(
    rules: SceneRules,
    glyphs: tuple[Glyph, ...],
    present: NDArray[np.int64],
    random: np.random.Generator,
) -> list[PlacedGlyph]:
    """Places an object of each category in `present`, and more of them until the scene is full.

    Args:
        rules: number and size of the objects.
        glyphs: the glyph of each label.
        present: labels, all different.
        random: draws everything; the scene depends on nothing else.

    Returns:
        The objects, larger ones first, which is the order to draw them in.
    """
    fewest, most = rules.objects_per_image
    wanted = max(int(random.integers(fewest, most + 1)), len(present))
    more = random.choice(present, wanted - len(present)) if len(present) else present
    labels = random.permutation(np.concatenate([present, more]))
    low, high = np.log(rules.object_size)
    sizes = np.sort(np.exp(random.uniform(low, high, len(labels))))[::-1]
    placed: list[PlacedGlyph] = []
    boxes = np.zeros((0, 4))
    for label, size in zip(labels.tolist(), sizes.tolist(), strict=True):
        placed.append(_place(rules, label, glyphs[label], size, boxes, random))
        boxes = np.concatenate([boxes, [placed[-1].box]])
    return placed


def _place(
    rules: SceneRules,
    label: int,
    glyph: Glyph,
    size: float,
    boxes: Points,
    random: np.random.Generator,
) -> PlacedGlyph:
    """Turns the glyph and puts it where it covers little; where there is no room, a smaller one."""
    angle = np.deg2rad(random.uniform(-rules.max_rotation, rules.max_rotation))
    cos, sin = np.cos(angle), np.sin(angle)
    turned = glyph.points @ np.array([[cos, sin], [-sin, cos]])
    low, high = turned.min(axis=0), turned.max(axis=0)
    size = min(size, (rules.image_size - 2) / float((high - low).max()))
    while True:
        space = rules.image_size - 2 - size * (high - low)
        origins = 1 + random.uniform(0, 1, (TRIES, 2)) * space
        overlaps = _overlaps(
            np.concatenate([origins, origins + size * (high - low)], axis=1), boxes
        )
        best = int((overlaps > rules.max_overlap).argmin())
        if overlaps[best] <= rules.max_overlap or size * SHRINK < rules.object_size[0]:
            break
        size *= SHRINK
    if overlaps[best] > rules.max_overlap:
        best = int(overlaps.argmin())
    corners = (origins[best] + size * (turned - low)).round(2)
    return PlacedGlyph(label, glyph, corners, size)


def _overlaps(candidates: Points, boxes: Points) -> NDArray[np.float64]:
    """Largest share of the smaller box that a candidate (K, 4) and any of `boxes` share, (K,)."""
    low = np.maximum(candidates[:, None, :2], boxes[None, :, :2])
    high = np.minimum(candidates[:, None, 2:], boxes[None, :, 2:])
    shared = (high - low).clip(min=0).prod(axis=2)
    own = (candidates[:, 2:] - candidates[:, :2]).prod(axis=1)
    others = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return (shared / np.minimum(own[:, None], others[None])).max(axis=1, initial=0.0)


def draw(scene: list[PlacedGlyph], image_size: int, random: np.random.Generator) -> Image.Image:
    """The picture: glyphs in dark colours on light paper with soft patches and grain."""
    image = _background(image_size, random)
    for placed in scene:
        hue, saturation, value = random.uniform((0, 0.5, 0.15), (1, 1, 0.55))
        colour = tuple(round(255 * channel) for channel in hsv_to_rgb(hue, saturation, value))
        mask, corner = _ink(placed)
        image.paste(colour, corner, mask)
    pixels = np.asarray(image) + random.normal(0, GRAIN, (image_size, image_size, 1))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _background(image_size: int, random: np.random.Generator) -> Image.Image:
    paper = random.uniform(195, 245, 3)
    patches = paper + random.uniform(-PATCHES, PATCHES, (6, 6, 3))
    small = Image.fromarray(patches.clip(0, 255).astype(np.uint8))
    return small.resize((image_size, image_size), Image.Resampling.BICUBIC)


def _ink(placed: PlacedGlyph) -> tuple[Image.Image, tuple[int, int]]:
    """The glyph's coverage of each pixel, 0 to 255, and the upper left pixel of that patch."""
    x1, y1, x2, y2 = placed.box
    left, top = int(x1), int(y1)
    width, height = int(np.ceil(x2)) - left, int(np.ceil(y2)) - top
    fine = Image.new("L", (width * SUPERSAMPLING, height * SUPERSAMPLING))
    pen = ImageDraw.Draw(fine)
    # Pillow's coordinates are those of pixel centres, the outline's those of pixel borders.
    corners = (placed.corners - (left, top)) * SUPERSAMPLING - 0.5
    for ring, hole in zip(placed.glyph.rings, placed.glyph.holes, strict=True):
        pen.polygon(corners[ring].ravel().tolist(), fill=0 if hole else 255)
    return fine.reduce(SUPERSAMPLING), (left, top)
