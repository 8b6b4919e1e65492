"""The built-in data set: scenes of letters in LVIS's format, made from a seed.

Long-tailed like LVIS, federated like LVIS, with look-alikes across head and tail. It shows in
minutes what the method does, and it comes in any size for tests of scale. Training and validation
differ in one thing: validation categories are much less imbalanced (see `builtin_profile`).
"""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from annotated_types import Interval, Len

from bacl.data.builtin.files import SPLITS, Recipe, write_split
from bacl.data.builtin.glyphs import capacity
from bacl.data.builtin.scenes import SceneRules
from bacl.files.atomic import telling_refusal
from bacl.files.leftovers import sweep, unfinished_folder
from bacl.messages.errors import OptionError, UserError
from bacl.options.marks import Free
from bacl.options.ranges import Count, File, NeverFalling, Processes, Seed, Share, Whole
from bacl.processes.distributed import process_rank

MARKER = "DONE"
GlyphSize = Annotated[float, Interval(ge=4, le=2048)]


@dataclass(frozen=True)
class BuiltinPaths:
    """Where the data set lies. The image folders are empty with `annotations_only`."""

    train_annotations: Path
    train_images: Path
    val_annotations: Path
    val_images: Path


class FolderInUseError(UserError, FileExistsError):
    """The folder holds something else than the data set that was asked for."""


def build(
    root: Free[File],
    num_categories: Annotated[int, Interval(ge=3, le=capacity())],
    num_train: Count,
    num_val: Count,
    image_size: Annotated[int, Interval(ge=16, le=4096)],
    objects_per_image: Annotated[Sequence[Count], Len(2, 2), NeverFalling],
    seed: Seed,
    object_size: Annotated[Sequence[GlyphSize], Len(2, 2), NeverFalling] = (18, 44),
    max_rotation: Annotated[float, Interval(ge=0, le=180)] = 20,
    max_overlap: Share = 0.05,
    negatives_per_image: Whole = 10,
    not_exhaustive_rate: Share = 0.1,
    annotations_only: bool = False,
    processes: Free[Processes] = 1,
) -> BuiltinPaths:
    """Makes the data set in `root`, unless it lies there already.

    The folder appears whole or not at all: files are written beside it and moved at the end. Same
    parameters, same bytes, for any number of processes; a scene depends only on the seed, its
    index and the categories it was given.

    Args:
        root: the folder of this data set alone.
        num_categories: as many as there are different glyphs at most, 7,900.
        num_train: training images.
        num_val: validation images.
        image_size: height and width in pixels.
        objects_per_image: fewest and most objects of an image.
        seed: of all random draws.
        object_size: smallest and largest longest side of an upright glyph in pixels; where a scene
            has no room, objects are drawn down to the smallest before they may overlap more.
        max_rotation: in degrees, to either side.
        max_overlap: largest share of the smaller of two boxes that the other may cover.
        negatives_per_image: absent categories that each image lists as verified absent.
        not_exhaustive_rate: probability that one of several objects of a category in an image is
            left out of the annotations, and the category listed as not exhaustively annotated.
        annotations_only: write no pictures.
        processes: that make scenes side by side.

    Raises:
        OptionError: objects larger than half a picture, or too few images for the categories.
        FolderInUseError: if `root` holds anything but this data set.
    """
    (fewest, most), (smallest, largest) = objects_per_image, object_size
    rules = SceneRules(image_size, (fewest, most), (smallest, largest), max_rotation, max_overlap)
    recipe = Recipe(
        num_categories=num_categories,
        num_train=num_train,
        num_val=num_val,
        seed=seed,
        rules=rules,
        negatives_per_image=negatives_per_image,
        not_exhaustive_rate=not_exhaustive_rate,
        annotations_only=annotations_only,
    )
    _check(recipe)
    root = Path(root)
    if not _is_complete(root, recipe):
        _write_folder(root, recipe, processes)
    train, val = SPLITS
    return BuiltinPaths(root / f"{train}.json", root / train, root / f"{val}.json", root / val)


def _check(recipe: Recipe) -> None:
    """Raises OptionError for parameters that do not go together."""
    largest, side = recipe.rules.object_size[1], recipe.rules.image_size
    if largest > side / 2:
        raise OptionError(
            f"data.builder.object_size: objects of {largest:g} pixels are larger than half of "
            f"data.builder.image_size={side}"
        )


def _is_complete(root: Path, recipe: Recipe) -> bool:
    """Whether `root` holds the whole data set of this recipe; raises if it holds something else."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    if not (root / MARKER).is_file():
        raise FolderInUseError(
            f"{root} holds other files than a built-in data set; set data.root to a new folder"
        )
    found, wanted = json.loads((root / MARKER).read_text(encoding="utf-8")), recipe.parameters()
    differing = [
        f"{name} is {found.get(name)} there, {value} was asked for"
        for name, value in wanted.items()
        if found.get(name) != value
    ]
    if differing:
        raise FolderInUseError(
            f"{root} holds a built-in data set of other parameters ({'; '.join(differing)}); "
            f"set data.root to a new folder or delete that one"
        )
    return True


def _write_folder(root: Path, recipe: Recipe, processes: int) -> None:
    root.parent.mkdir(parents=True, exist_ok=True)
    sweep(root.parent, unfinished_of=root, earlier=partial(_is_earlier, root=root))
    with telling_refusal(root), unfinished_folder(root) as folder:
        for split in range(len(SPLITS)):
            write_split(folder, recipe, split, processes, quiet=process_rank() > 0)
        marker = json.dumps(recipe.parameters(), indent=1)
        (folder / MARKER).write_text(marker, encoding="utf-8")
        _move(folder, root, recipe)


def _is_earlier(path: Path, root: Path) -> bool:
    """Whether an earlier version, which was killed, left this unfinished data set of `root`."""
    named = re.fullmatch(rf"\.{re.escape(root.name)}-[a-z0-9_]{{8}}", path.name)
    made = {MARKER, *SPLITS, *[f"{split}.json" for split in SPLITS]}
    readable = named and path.is_dir() and os.access(path, os.R_OK | os.X_OK)
    return bool(readable) and made.issuperset(inner.name for inner in path.iterdir())


def _move(folder: Path, root: Path, recipe: Recipe) -> None:
    try:
        folder.replace(root)
    except OSError:
        # Another process was faster. Its files are the same, if it had the same parameters.
        if not _is_complete(root, recipe):
            raise
