"""What of a data set is not where the configuration says, where it comes from and what to do."""

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from bacl.data.annotations.image_names import candidate_names, tried
from bacl.data.annotations.table import AnnotationTable
from bacl.data.annotations.table_cache import table_folder
from bacl.data.lvis import RELEASES
from bacl.messages.errors import UserError
from bacl.messages.shown import written

SplitPaths = Mapping[str, Any]
"""`annotations`: a json file; `images`: the folder that its file names start from, or several."""


class MissingDataError(UserError, FileNotFoundError):
    """Files of a data set that are not where the configuration says."""


def require_files(
    train: SplitPaths,
    val: SplitPaths | None,
    root: str | Path,
    name: str,
    left_out: Collection[str] = (),
) -> None:
    """Raise one MissingDataError that lists everything `missing_files` finds.

    Args:
        train: Paths of the training split.
        val: Paths of the validation split, if there is one.
        root: Folder of the data set.
        name: Of the data set.
        left_out: File names of images that are done without.
    """
    if missing := missing_files(train, val, left_out):
        raise MissingDataError(incomplete(missing, root, name))


def incomplete(missing: Iterable[str], root: str | Path, name: str) -> str:
    """What is missing of a data set, and what there is to do."""
    mend = [
        f"data that lie elsewhere: give their folder as data.root=… (now {Path(root).absolute()}), "
        "or set the environment variable BACL_DATA to the folder around it"
    ]
    if name in RELEASES:
        mend.append(f"no data yet: python run.py job=prepare data={name} data.root={root}")
    else:
        mend.append("other names in that folder: data.train.annotations=…, data.train.images=…, …")
    mend.append(
        "to go on without single pictures: datamodule.leave_out=… (names, or a file of them)"
    )
    found = "\n  ".join(["the data set is not complete:", *missing])
    return "\n".join([found, *mend])


def missing_files(
    train: SplitPaths, val: SplitPaths | None = None, left_out: Collection[str] = ()
) -> list[str]:
    """One line for each annotation file, image folder or set of images that is missing.

    Opens the annotation tables, which builds them the first time.
    """
    lines: list[str] = []
    for split in (train, val):
        if split is not None:
            folders = image_folders(split["images"])
            lines += _missing_of_split(Path(split["annotations"]), folders, left_out)
    return list(dict.fromkeys(lines))


def image_folders(images: str | Path | Iterable[str | Path]) -> list[Path]:
    """The image folders of a split, whether one or several are given."""
    return [Path(images)] if isinstance(images, str | Path) else [Path(folder) for folder in images]


def _missing_of_split(
    annotations: Path, folders: list[Path], left_out: Collection[str]
) -> list[str]:
    lines = [f"no folder {folder}{_origin(folder)}" for folder in folders if not folder.is_dir()]
    if not annotations.is_file():
        return [f"no file {annotations}{_origin(annotations)}", *lines]
    if lines:
        return lines
    table = AnnotationTable(table_folder(annotations), annotations)
    names = [name for name in table.file_names() if name not in left_out]
    found = _located(names, folders)
    missing = [name for name, path in zip(names, found, strict=True) if path is None]
    if not missing:
        return _shared_files(annotations, names, found)
    told = ", ".join(map(written, missing[:3])) + (", …" if len(missing) > 3 else "")
    return [
        f"{len(missing)} of {len(names)} images of {annotations} are not in "
        f"{' or '.join(map(str, folders))}: {told}{tried(missing[0])}"
        f"{_origin(Path(missing[0]).parent)}"
    ]


def _located(names: list[str], folders: list[Path]) -> list[str | None]:
    """The path of each name below the folders; a listing per folder instead of looks per file."""
    candidates = [candidate_names(name) for name in names]
    parents = {os.path.dirname(path) for paths in candidates for path in paths}  # noqa: PTH120
    present = {
        f"{parent}/{entry}" if parent else entry
        for folder in folders
        for parent in parents
        for entry in _listed(folder / parent)
    }
    return [next((path for path in paths if path in present), None) for paths in candidates]


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise MissingDataError(f"the folder {folder} cannot be read: {error.strerror}") from error


def _shared_files(annotations: Path, names: list[str], found: list[str | None]) -> list[str]:
    """A line where several names mean one file: all but one would be shown another's pixels."""
    names_of: dict[str | None, set[str]] = {}
    for name, path in zip(names, found, strict=True):
        names_of.setdefault(path, set()).add(name)
    for path, same in names_of.items():
        if len(same) > 1:
            told = " and ".join(map(written, sorted(same)[:2]))
            return [f"{len(same)} images of {annotations} are one file {path}: {told}"]
    return []


def _origin(path: Path) -> str:
    """Where a file or folder of a known release comes from, as an addition to a line."""
    for release in RELEASES.values():
        for archive in release.archives:
            if path.name and path.name == Path(archive.creates).name:
                size = f", {archive.size / 1e9:.1f} GB" if archive.size else ""
                return f" (from {archive.url}{size})"
    return ""
