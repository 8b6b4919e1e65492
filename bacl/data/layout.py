"""Where annotation files and pictures lie in a folder of one of the common layouts.

A file is of the split that its name says, or else its folder: `annotations/instances_train.json`
(COCO), `train/_annotations.coco.json` (Roboflow), `train.json`. Pictures lie beside such a file, in
a folder called like the split, in `images`, or in the folder itself: the first ones are looked for.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from bacl.data.annotations.image_names import candidate_names
from bacl.data.annotations.table import AnnotationTable
from bacl.data.split_files import SplitName, children, json_files, said_by, split_of
from bacl.messages.errors import OptionError
from bacl.messages.shown import typed_option, written

AROUND_ALL = ("images", "image", "imgs", "JPEGImages")
"""Folders that may hold the pictures of both splits."""
SPLIT = "split"
"""Folder of the files that `data=split` makes; they are meant before any other."""
TRIED = 3
"""Pictures of a file that are looked for."""
LISTED = 12
"""Files that a message lists."""


class LayoutError(OptionError):
    """A folder whose files leave open which of them is meant."""


def annotation_file(root: str | Path, split: SplitName) -> Path:
    """The annotation file of a split.

    Where the folder has no json at all, or is missing, it is `annotations/<split>.json`: what is
    missing is told by who opens it, with all else that is.

    Raises:
        LayoutError: several files may be meant, or none; lists them, and the words that choose.
    """
    folder = Path(root)
    made = folder / SPLIT / f"{split}.json"
    if made.is_file():
        return made
    found = list(json_files(folder))
    if not found:
        _refuse_other_formats(folder)
        return folder / "annotations" / f"{split}.json"
    meant = [path for path in found if split_of(path, folder) == split]
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise LayoutError(
            f"{folder}: several files may be the annotations of {split}: {_listed(meant, folder)}. "
            f"Choose one: {typed_option(f'data.{split}.annotations', meant[0])}"
        )
    raise LayoutError(_no_file_of(split, folder, found))


def only_file(root: str | Path) -> Path:
    """The one annotation file of a folder, to be split.

    Raises:
        LayoutError: there is none, or there are several.
    """
    found = list(json_files(Path(root)))
    if len(found) != 1:
        listed = f"several: {_listed(found, Path(root))}" if found else "none"
        raise LayoutError(
            f"{root}: data=split takes the one annotation file of a folder, and here are {listed}; "
            "name it: data.builder.source=…"
        )
    return found[0]


def image_folder(root: str | Path, annotations: str | Path, split: SplitName) -> Path:
    """The folder that the file names of a split's pictures start from.

    Without an annotation file it is `images`; where the first pictures are nowhere, the likeliest.
    Pictures that are missing are told by who opens them.

    Raises:
        AnnotationError: the file is bad.
    """
    folder, file = Path(root), Path(annotations)
    if not file.is_file():
        return folder / "images"
    table = AnnotationTable.open(file)
    names = [table.file_name(image) for image in range(min(TRIED, table.num_images))]
    places = list(dict.fromkeys(_image_places(folder, file, split)))
    held = {place: sum(_holds(place, name) for name in names) for place in places}
    best = max(places, key=lambda place: held[place])  # the first of equals
    return best


def folder_name(root: str | Path) -> str:
    """What a folder of data is called, as the name of runs on it."""
    return (
        re.sub(r"[^\w.+-]+", "_", Path(root).absolute().name, flags=re.ASCII).strip(".") or "data"
    )


def _image_places(root: Path, file: Path, split: SplitName) -> Iterator[Path]:
    if file.parent not in (root, root / "annotations"):
        yield file.parent
        yield file.parent / "images"
    around = [root, *(root / name for name in AROUND_ALL)]
    for place in around:
        yield from (path for path in children(place) if said_by(path.name) == split)
    yield from (path for path in around[1:] if path.is_dir())
    yield root


def _holds(folder: Path, name: str) -> bool:
    return any((folder / candidate).is_file() for candidate in candidate_names(name))


def _no_file_of(split: SplitName, folder: Path, found: list[Path]) -> str:
    listed = _listed(found, folder)
    if len(found) == 1:
        return (
            f"{folder}: there is one annotation file, {listed}, and a training needs another one "
            "for validation. To split it by pictures, a fifth for validation, drawn with seed 0: "
            f"python run.py job=prepare data=split {typed_option('data.root', folder)}"
        )
    return (
        f"{folder}: which file has the annotations of {split}? There are {listed}. Name it: "
        f"{typed_option(f'data.{split}.annotations', found[0])} data.{split}.images=…"
    )


def _refuse_other_formats(folder: Path) -> None:
    """Say how annotations of other tools become a json.

    Raises:
        LayoutError: there are such.
    """
    for kind, pattern, choice in (
        ("YOLO's text files", "labels/**/*.txt", "yolo"),
        ("YOLO's text files", "*/labels/*.txt", "yolo"),
        ("Pascal VOC's XML files", "Annotations/*.xml", "voc"),
        ("Pascal VOC's XML files", "train/*.xml", "voc"),
    ):
        if any(folder.glob(pattern)):
            raise LayoutError(
                f"{folder}: has {kind} and no json. To make jsons of them, once: "
                f"python run.py job=prepare data={choice} {typed_option('data.root', folder)}"
            )


def _listed(paths: list[Path], root: Path) -> str:
    shown = [written(path.relative_to(root).as_posix()) for path in paths[:LISTED]]
    return ", ".join(shown) + (f" and {len(paths) - LISTED} more" if len(paths) > LISTED else "")
