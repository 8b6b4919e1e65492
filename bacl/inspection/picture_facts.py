"""What one look at a picture file tells: whether it can be used, and what it looks like.

I: images of a table.
"""

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from bacl.data.images.image_files import ImageFiles
from bacl.data.images.orientation import Fit, exif_orientation, fit, sizes
from bacl.data.images.picture_file import PictureError, opened
from bacl.data.images.pixels import rgb
from bacl.data.images.traits import Trait, traits_of

SIDE = 16
"""Of a thumbnail, in cells."""
DRAFT = 8 * SIDE
"""Pixels: a JPEG is decoded no larger than is needed for that, several times faster."""
GREY = 2
"""Levels by which the channels of a grey picture may differ, after JPEG's rounding."""


class State(IntEnum):
    """Whether a picture can be used."""

    GOOD, MISSING, UNREADABLE, OTHER_SIZE, NOT_LOOKED_AT = range(5)


class Fact(NamedTuple):
    """Of one picture file."""

    state: State
    problem: str = ""
    digest: bytes = bytes(16)
    """Of the file's content."""
    outline: int = 0
    """Difference hash, 64 bits: which of neighbouring cells of a 9 x 8 grid is brighter."""
    thumbnail: bytes = bytes(SIDE * SIDE)
    """Grey levels."""
    grey: bool = False
    orientation: int = 1
    """EXIF's."""
    stored_is_annotated: bool = False
    """Whether the annotated size is that of the picture as stored, not upright."""
    traits: Trait = Trait(0)


@dataclass(frozen=True)
class PictureFacts:
    """Columns of facts, a row for each image of a table."""

    state: np.ndarray
    """(I,) int64, of `State`."""
    problems: dict[int, str]
    digests: np.ndarray
    """(I,) 16 bytes each."""
    outlines: np.ndarray
    """(I,) uint64."""
    thumbnails: np.ndarray
    """(I, 256) uint8."""
    grey: np.ndarray
    """(I,) bool."""
    orientation: np.ndarray
    """(I,) int64."""
    stored_is_annotated: np.ndarray
    """(I,) bool."""
    traits: np.ndarray
    """(I,) int64."""

    @classmethod
    def of(cls, facts: list[Fact]) -> "PictureFacts":
        """Columns of a fact for each image."""
        thumbnails = np.frombuffer(b"".join(fact.thumbnail for fact in facts), dtype=np.uint8)
        return cls(
            np.array([fact.state for fact in facts], dtype=np.int64),
            {row: fact.problem for row, fact in enumerate(facts) if fact.problem},
            np.array([fact.digest for fact in facts], dtype="V16"),
            np.array([fact.outline for fact in facts], dtype=np.uint64),
            thumbnails.reshape(len(facts), SIDE * SIDE),
            np.array([fact.grey for fact in facts], dtype=bool),
            np.array([fact.orientation for fact in facts], dtype=np.int64),
            np.array([fact.stored_is_annotated for fact in facts], dtype=bool),
            np.array([int(fact.traits) for fact in facts], dtype=np.int64),
        )

    @property
    def good(self) -> np.ndarray:
        """(I,) bool: pictures that can be used."""
        return self.state == State.GOOD


def look(files: ImageFiles, row: int) -> Fact:
    """Read the picture of an image; what is wrong with it is a fact, too."""
    try:
        path = files.locate(row)
    except PictureError as error:
        return Fact(State.MISSING, str(error))
    try:
        return _look_inside(path, files, row)
    except (PictureError, OSError) as error:
        return Fact(State.UNREADABLE, str(error))


def _look_inside(path: Path, files: ImageFiles, row: int) -> Fact:
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, lambda: hashlib.blake2b(digest_size=16)).digest()
    with opened(path, files.reading.max_pixels) as picture:
        orientation = exif_orientation(picture)
        stored, upright = sizes(picture, orientation)
        fits = fit(stored, upright, files.size(row))
        traits = traits_of(picture, fits)
        grey, outline, thumbnail = appearance(picture)
    state, problem = State.GOOD, ""
    if fits is Fit.NEITHER:
        wide, high = files.size(row)
        state = State.OTHER_SIZE
        problem = f"is {stored[0]} x {stored[1]} pixels, annotated are {wide} x {high}"
    return Fact(
        state, problem, digest, outline, thumbnail, grey, orientation, fits is Fit.STORED, traits
    )


def appearance(picture: Image.Image) -> tuple[bool, int, bytes]:
    """Whether an opened picture is grey, its difference hash, and its thumbnail's grey levels.

    All of the file is read, so that one which is cut off is found.
    """
    picture.draft("RGB", (DRAFT, DRAFT))  # of a JPEG alone; others are decoded in full
    coloured = rgb(picture)
    cells = np.asarray(coloured.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.int16)
    grey = bool((cells.max(axis=2) - cells.min(axis=2) <= GREY).all())
    levels = coloured.convert("L")
    grid = np.asarray(levels.resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    bits = np.packbits(grid[:, 1:] > grid[:, :-1])
    thumbnail = levels.resize((SIDE, SIDE), Image.Resampling.BOX).tobytes()
    return grey, int.from_bytes(bits.tobytes(), "big"), thumbnail
