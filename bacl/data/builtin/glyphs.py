"""The shapes of the built-in data set: letters as vector outlines, in families that look alike.

A family is a head glyph and its look-alikes: O and Q, E and F, or the same letter with a dot, a
bar or a triangle above or below. It stands for the bicycle and tricycle of the paper's
introduction: the head of a family is common, what looks like it is rare. Outlines come from the
DejaVu fonts that ship with matplotlib, so a picture and its segmentation are the same polygons.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path as Contour
from matplotlib.textpath import TextPath
from numpy.typing import NDArray

# The head of each family first. Only glyphs that all four fonts draw, with outlines that do not
# overlap and differ between the fonts, and that are different at any size (so no small c, o, s).
FAMILIES = (
    *("OQΘ", "EF", "PR", "CG", "B8", "VY", "UJ", "Z2", "S5$", "TΓ", "HΠ", "KЖ", "ΔΛ", "WШЩ"),
    *("NИ", "A4", "6Б", "9g", "L£", "3Э", "7?", "1I", "ΦΨ", "ΣΞ", "M", "X", "DЪ", "Ω", "@", "&"),
    *("Ю", "a", "hn", "e", "tf", "δб", "λ", "π", "m", "bd", "Ц", "Л", "ξζ", "Є", "θβ"),
)
STYLES = {
    "": "DejaVuSans-Bold.ttf",
    "serif": "DejaVuSerif-Bold.ttf",
    "light": "DejaVuSans.ttf",
    "italic": "DejaVuSerif-BoldItalic.ttf",
}
MARKS = ("bar", "dot", "triangle", "dots")
FAMILY_SIZE = 3
"""Members of a family, as long as there are families enough: head, first and second look-alike."""
OUTLINE_SIZE = 20.0
"""Font size at which curves become polygons: about 25 corners for an O."""

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Glyph:
    """A category's outline; its longest side is 1, its centre is (0, 0), y points down."""

    name: str
    points: Points
    """(P, 2): the corners of all rings, one ring after the other."""
    rings: tuple[slice, ...]
    """Into `points`, in drawing order: a hole comes after what it is cut from."""
    holes: tuple[bool, ...]
    """Whether each ring is cut out rather than filled."""
    polygons: tuple[NDArray[np.int64], ...]
    """Indices into `points`: polygons without holes, each hole joined to its ring by a slit."""
    area: float
    """Of the ink, in units of the longest side squared."""


def capacity() -> int:
    """How many different glyphs there are."""
    return sum(_family_capacity(letters) for letters in FAMILIES) * len(STYLES)


@lru_cache(maxsize=4)
def glyphs(number: int) -> tuple[Glyph, ...]:
    """The first `number` glyphs: all heads of the families, then all first look-alikes, ...

    Args:
        number: how many, at least 1.

    Raises:
        ValueError: if there are not that many different glyphs.
    """
    if not 1 <= number <= capacity():
        raise ValueError(
            f"num_categories is {number}; the built-in set draws 1 to {capacity()} categories"
        )
    heads = [(style, letters) for style in STYLES for letters in FAMILIES]
    heads = heads[: -(-number // FAMILY_SIZE)]
    families = [list(_members(letters, i)) for i, (_, letters) in enumerate(heads)]
    ranks = range(max(map(len, families)))
    order = [
        (style, family[rank])
        for rank in ranks
        for (style, _), family in zip(heads, families, strict=True)
        if rank < len(family)
    ]
    return tuple(_glyph(style, *member) for style, member in order[:number])


def _family_capacity(letters: str) -> int:
    return len(letters) * (len(MARKS) + 1) ** 2


def _members(letters: str, turn: int) -> Iterator[tuple[str, str, str]]:
    """(letter, mark above, mark below); families take turns in which look-alike comes first."""
    marks = MARKS[turn % len(MARKS) :] + MARKS[: turn % len(MARKS)]
    marked = [(above, below) for above, below in product(("", *marks), repeat=2) if above or below]
    if turn % 2:
        marked = [(below, above) for above, below in marked]
    plain = [(letter, "", "") for letter in letters]
    rest = [(letter, *pair) for pair in marked for letter in letters]
    first = 1 + turn % 2  # odd families: the marked head looks more alike than the next letter
    yield plain[0]
    yield from rest[: first - 1]
    yield from plain[1:]
    yield from rest[first - 1 :]


def _glyph(style: str, letter: str, above: str, below: str) -> Glyph:
    rings = [*_letter_rings(STYLES[style], letter)]
    corners = np.concatenate(rings)
    rings += _mark_rings(above, corners, above=True) + _mark_rings(below, corners, above=False)
    corners = np.concatenate(rings)
    low, high = corners.min(axis=0), corners.max(axis=0)
    points = (corners - (low + high) / 2) / (high - low).max()
    ends = np.cumsum([len(ring) for ring in rings])
    slices = tuple(slice(int(end) - len(r), int(end)) for end, r in zip(ends, rings, strict=True))
    areas = [signed_area(points[s]) for s in slices]
    return Glyph(
        name=_name(style, letter, above, below),
        points=points,
        rings=slices,
        holes=tuple(area < 0 for area in areas),
        polygons=_polygons(points, slices, areas),
        area=float(sum(areas)),
    )


def signed_area(ring: Points) -> float:
    """Area inside a ring of (P, 2) corners; negative for a hole."""
    x, y = ring.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


@lru_cache(maxsize=1024)
def _letter_rings(font: str, letter: str) -> tuple[Points, ...]:
    """Rings with y down, the largest first: filled ones have positive area, holes negative."""
    file = Path(matplotlib.get_data_path(), "fonts", "ttf", font)
    path = TextPath((0, 0), letter, size=OUTLINE_SIZE, prop=FontProperties(fname=str(file)))
    rings = [np.asarray(ring)[:-1] * (1, -1) for ring in path.to_polygons()]
    return tuple(sorted(rings, key=lambda ring: -abs(signed_area(ring))))


def _mark_rings(mark: str, corners: Points, above: bool) -> list[Points]:
    """The rings of a mark that clears the letter, sized by its longest side."""
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    unit = max(right - left, bottom - top) / 7
    centre = np.array([(left + right) / 2, top - 1.6 * unit if above else bottom + 1.6 * unit])
    turns = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    dot = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    bar = np.array([[-3, -0.6], [3, -0.6], [3, 0.6], [-3, 0.6]])
    triangle = np.array([[-1.6, 1], [0, -1], [1.6, 1]])
    apart = np.array([1.8, 0])
    shapes: dict[str, list[Points]] = {
        "": [],
        "bar": [bar],
        "dot": [dot],
        "triangle": [triangle],
        "dots": [0.9 * dot - apart, 0.9 * dot + apart],
    }
    return [centre + unit * shape for shape in shapes[mark]]


def _polygons(
    points: Points, rings: tuple[slice, ...], areas: list[float]
) -> tuple[NDArray[np.int64], ...]:
    """One polygon per filled ring, with the holes inside it joined on by slits.

    The COCO and LVIS formats know no holes. A slit runs forth and back on one line, so it covers
    nothing, and the polygon's interior is the ring without its holes.
    """
    indices = [np.arange(ring.start, ring.stop) for ring in rings]
    filled = {i: indices[i] for i, area in enumerate(areas) if area > 0}
    for hole in (i for i, area in enumerate(areas) if area < 0):
        corner = points[indices[hole][0]]
        around = [i for i in filled if Contour(points[rings[i]]).contains_point(corner)]
        owner = min(around, key=lambda i: areas[i])
        filled[owner] = _joined(points, filled[owner], indices[hole])
    return tuple(filled.values())


def _joined(points: Points, ring: NDArray[np.int64], hole: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices that walk `ring`, cross to the nearest corner of `hole`, walk it and come back."""
    distances = ((points[ring][:, None] - points[hole][None]) ** 2).sum(axis=2)
    leave, enter = np.unravel_index(distances.argmin(), distances.shape)
    around = np.roll(hole, -int(enter))
    return np.concatenate([ring[: leave + 1], around, around[:1], ring[leave:]])


def _name(style: str, letter: str, above: str, below: str) -> str:
    """Such as capital_o, digit_eight_serif, greek_capital_delta_dot_above."""
    words = unicodedata.name(letter).lower().replace("-", " ").split()
    words = [word for word in words if word not in ("latin", "letter", "sign", "mark")]
    marks = [f"{above}_above"] * bool(above) + [f"{below}_below"] * bool(below)
    return "_".join(words + [style] * bool(style) + marks)
