"""Where annotation files and pictures lie in a folder of one of the common layouts.

A file is of the split that its name says, or else its folder: `annotations/instances_train.json`
(COCO), `train/_annotations.coco.json` (Roboflow), `train.json`. Pictures lie beside such a file, in
a folder called like the split, in `images`, or in the folder itself: the first ones are looked for.
"""

import os
import re
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

from bacl.data.annotations.image_names import candidate_names
from bacl.data.annotations.table import AnnotationTable
from bacl.messages.errors import OptionError
from bacl.messages.shown import typed_option, written

SplitName = Literal["train", "val"]
WORDS = {
    "train": {"train", "training"},
    "val": {"val", "valid", "validation", "dev"},
    "test": {"test", "testing"},
}
"""In names of files and folders."""
OTHER_TASKS = ("captions_", "image_info_", "panoptic_", "person_keypoints_", "stuff_")
"""How COCO's files of other tasks begin, which lie beside those of objects."""
AROUND_ALL = ("images", "image", "imgs", "JPEGImages")
"""Folders that may hold the pictures of both splits."""
SPLIT = "split"
"""Folder of the files that `data=split` makes; they are meant before any other."""
TRIED = 3
"""Pictures of a file that are looked for."""
AT_REST = 10**10
"""Nanoseconds without a change; file systems tell times to some milliseconds, some to two seconds.
"""
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
    found = list(_json_files(folder))
    if not found:
        _refuse_other_formats(folder)
        return folder / "annotations" / f"{split}.json"
    meant = [path for path in found if _split_of(path, folder) == split]
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
    found = list(_json_files(Path(root)))
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


def _json_files(folder: Path) -> Iterator[Path]:
    """Those that may hold annotations of objects, in order."""
    inside = sorted(path for path in _children(folder) if path.is_dir())
    searched = [path for path in inside if path.name == "annotations" or _said_by(path.name)]
    for place in (folder, *searched):
        for path in _children(place):
            if path.suffix.lower() == ".json" and not path.name.startswith((*OTHER_TASKS, ".")):
                yield path


def _children(folder: Path) -> Sequence[Path]:
    """The folders and json files in a folder, in order; none where there is no such folder.

    Options are looked at many times before a training, and a folder of pictures may hold 100,000:
    one that has been at rest for a while is read once.
    """
    if not folder.is_dir():
        return ()
    status = folder.stat()
    changed = status.st_mtime_ns, status.st_ctime_ns  # a copy of files may set the first back
    # One that has just changed may change again without its time telling.
    read = _read if time.time_ns() - max(changed) > AT_REST else _read.__wrapped__
    return read(folder, changed)


@lru_cache(maxsize=64)
def _read(folder: Path, changed: tuple[int, int]) -> tuple[Path, ...]:
    """Of a folder that changed at these times."""
    with os.scandir(folder) as entries:
        kept = [e.path for e in entries if e.name.lower().endswith(".json") or e.is_dir()]
    return tuple(sorted(map(Path, kept)))


def _said_by(name: str) -> str | None:
    """The split that a name says, if it says one."""
    words = set(re.findall("[a-z]+", name.lower()))
    said = [split for split, meaning in WORDS.items() if words & meaning]
    return said[0] if len(said) == 1 else None


def _split_of(file: Path, root: Path) -> str | None:
    return _said_by(file.stem) or (_said_by(file.parent.name) if file.parent != root else None)


def _image_places(root: Path, file: Path, split: SplitName) -> Iterator[Path]:
    if file.parent not in (root, root / "annotations"):
        yield file.parent
        yield file.parent / "images"
    around = [root, *(root / name for name in AROUND_ALL)]
    for place in around:
        yield from (path for path in _children(place) if _said_by(path.name) == split)
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
