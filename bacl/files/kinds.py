"""What a file is in place of the one that is meant: by its first bytes, or by the keys it holds."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ZIP = b"PK\x03\x04"
PLAIN_TEXT = "a text file"
BY_BEGINNING = (
    (rb"\Z", "an empty file"),
    (
        rb"version https://git-lfs\.github\.com/spec/",
        "a Git LFS pointer; fetch the file itself with `git lfs pull`",
    ),
    (rb"(?i)\s*<(!doctype|html|\?xml|head|body)", "a web page; download the file itself"),
    (rb"\x1f\x8b", "a gzip archive; unpack it"),
    (rb"\xff\xfe|\xfe\xff", "text in UTF-16; save it as UTF-8"),
    (rb"[\t\n\r\x20-\xff]+\Z", PLAIN_TEXT),
)
"""(expression, what a file is that begins so, and the mend); the first that fits counts."""

CALIBRATED = "calibrated.ckpt"
"""What an evaluation leaves of a finished stage whose calibration gathered first."""

FINAL_PARTS = {"detector", "heads", "categories"}
FINAL = "a final.ckpt"
LAST = (
    "a last.ckpt, which only resumes its own run; name the final.ckpt that the stage writes when "
    "it is finished"
)
BY_KEYS = (
    (FINAL_PARTS, FINAL),
    ({"pytorch-lightning_version"}, LAST),
    ({"state_dict"}, "a checkpoint of another project; make one of ours of it with job=import"),
)
"""(keys, what a checkpoint is that has them); the first that fits counts."""


class UnreadableFileError(ValueError):
    """Why a file cannot be read, in a few words of ours without its path."""


def file_kind(path: Path) -> str | None:
    """What a file is by its beginning, with the mend, if that is known and no weights or picture.

    Raises:
        UnreadableFileError: the system refuses to read it.
    """
    head = _begins(path, 512)
    return next((kind for begins, kind in BY_BEGINNING if re.match(begins, head)), None)


def is_archive(path: Path) -> bool:
    """Whether a file begins as a zip archive, as weights do; zipfile looks at the end."""
    return _begins(path, len(ZIP)) == ZIP


def is_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors do: the length of a json, and the json."""
    return _begins(path, 9)[8:] == b"{"


def checkpoint_kind(content: Any) -> str:
    """What a checkpoint is by what torch has read of it."""
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}"
    kinds = (kind for keys, kind in BY_KEYS if keys <= content.keys())
    return next(kinds, f"a file that lacks {', '.join(sorted(FINAL_PARTS - content.keys()))}")


def _begins(path: Path, length: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(length)
    except OSError as error:
        raise UnreadableFileError(f"cannot be read: {error.strerror}") from error
