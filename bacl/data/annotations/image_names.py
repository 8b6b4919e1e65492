"""Names of image files: what they may not be, and what a name from elsewhere may mean here."""

import os
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from bacl.data.annotations.validation import AnnotationError
from bacl.messages.shown import written

LONGEST_NAME = 255
"""Bytes of a file's or folder's name on every common file system."""
_LONGEST_PATH = 4096
_PLAIN = re.compile(r"\w[\w-]*(?:[./ ]\w[\w-]*)*", re.ASCII)
"""Names that mean the same everywhere: nearly all."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:[/\\]")
_PARTS = 4  # of a path, with the name, that may be there when the folders above them are not
_TOLD = 4  # of the paths at which a missing image was looked for
_COCO_PREFIX = re.compile(r"COCO_\w+_(?=\d{12}\.)")
_UPLOADED = re.compile(r"/data/(upload|local-files)/")
"""How Label Studio's addresses begin; what follows lies in the image folder."""


def check_file_name(file: Path, place: str, name: str) -> None:
    """Raise unless `name` is one of a file inside of an image folder.

    Bytes that are no UTF-8, as `os.listdir` gives and json escapes them, are good.

    Raises:
        AnnotationError: it cannot be the name of a file, is an absolute path, or leads out.
    """
    problem = _problem(name)
    if problem:
        expected = "expected the path of a file below the image folder"
        raise AnnotationError(file, place, f"{written(name)} {problem}, {expected}")


def readings(name: str) -> list[str]:
    """The relative paths that a name may mean, the most literal first; none leads out of a folder.

    A path written on Windows has backslashes, one from a web server is URL-encoded, an accented
    letter is one character or, on disks of a Mac, two, and an older archive has names in Latin-1.
    """
    if _PLAIN.fullmatch(name):
        return [name]
    found = [name]
    for respell in (_decoded, _slashes, *([] if name.isascii() else _SPELLINGS)):
        found += [respell(each) for each in found]
    return list(dict.fromkeys(path for path in map(_inside, found) if path))


def image_name(record: Mapping[str, Any]) -> Any:
    """The image's path relative to its folder: `file_name`, else `split/name` of v1's `coco_url`.

    Returns None (or the value that is no text) where the record gives no name.
    """
    name = record.get("file_name")
    if name or name not in (None, ""):
        return name
    url = record.get("coco_url")
    return "/".join(url.split("/")[-2:]) if isinstance(url, str) and url else None


def candidate_names(name: str) -> list[str]:
    """The relative paths under which an image may lie, most likely first.

    `train2017/1.jpg` may also lie flat as `1.jpg`, and v0.5's `COCO_val2014_000000000139.jpg` is
    `000000000139.jpg` in the 2017 folders. What else a name may mean: `image_names.readings`.
    """
    paths = [PurePosixPath(reading).parts for reading in readings(name)]
    # Whatever spelling, with more of its folders a file is more surely the one that is meant.
    whole = ["/".join(path) for path in paths]
    nested = ["/".join(path[-depth:]) for depth in range(_PARTS, 0, -1) for path in paths]
    return list(
        dict.fromkeys([*whole, *nested, *(_COCO_PREFIX.sub("", path[-1]) for path in paths)])
    )


def find_image(folders: Sequence[Path], name: str) -> Path:
    """The path of image `name` in the first of `folders` that holds it.

    Raises:
        FileNotFoundError: naming the image, every folder that was searched, and for what.
    """
    candidates = candidate_names(name)
    for folder in folders:
        for candidate in candidates:
            path = folder / candidate
            if Path(path).is_file():
                return path
    searched = ", ".join(map(str, folders))
    raise FileNotFoundError(
        f"image {written(name)} is in none of the image folders: {searched}{tried(name)}"
    )


def tried(name: str) -> str:
    """The other paths at which an image was looked for, as an addition to a message."""
    others = [written(path) for path in candidate_names(name) if path != name]
    rest = ", …" if len(others) > _TOLD else ""
    return f" (also looked for {', '.join(others[:_TOLD])}{rest})" if others else ""


def _problem(name: str) -> str | None:
    """What is wrong with a name."""
    if _PLAIN.fullmatch(name) and len(name) <= LONGEST_NAME:
        return None
    try:
        encoded = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return "holds half a character"
    parts = encoded.replace(b"\\", b"/").split(b"/")
    if _CONTROL.search(name):
        return "holds a control character"
    if len(encoded) > _LONGEST_PATH or max(map(len, parts)) > LONGEST_NAME:
        return "is longer than a name can be"
    if _ABSOLUTE.match(name) and not _UPLOADED.match(name):
        return "is an absolute path"
    if _inside(_slashes(name)) is None:
        return "leads out of the image folder"
    return None


def _inside(path: str) -> str | None:
    """The shortest form of the path of a file in a folder; None if it leads out, or to no file."""
    path = os.path.normpath(path.lstrip("/") if _UPLOADED.match(path) else path)
    outside = path in (".", "..") or path.startswith(("../", "/")) or "\0" in path
    return None if outside else path


def _slashes(name: str) -> str:
    return name.replace("\\", "/")


def _decoded(name: str) -> str:
    """A URL-encoded path, or the one that a query names (`?d=`: Label Studio's local files)."""
    return unquote(name.partition("?d=")[2] or name, errors="surrogateescape")


def _latin(name: str) -> str:
    try:
        return os.fsdecode(name.encode("latin-1"))
    except UnicodeEncodeError:
        return name


def _bytes(name: str) -> str:
    """The name whose bytes are UTF-8, in a locale that is not."""
    return os.fsdecode(name.encode("utf-8", "surrogateescape"))


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _decomposed(name: str) -> str:
    return unicodedata.normalize("NFD", name)


_SPELLINGS: list[Callable[[str], str]] = [_composed, _decomposed, _latin, _bytes]
