"""What is looked for in a folder of another tool, whose files may name anything."""

import os
from pathlib import Path

from bacl.data.annotations.validation import AnnotationError
from bacl.messages.errors import in_one_line


def is_file(path: Path) -> bool:
    """Whether a file is there; a name that no system takes is none."""
    return os.path.isfile(path)  # noqa: PTH113  # Path's own raises for a name that is too long


def is_there(path: Path) -> bool:
    """Whether there is anything; a name that no system takes is nothing."""
    return os.path.exists(path)  # noqa: PTH110  # as above


def plain_path(path: Path) -> Path:
    """A path without `..`; links stay what they are."""
    return Path(os.path.normpath(path))


def is_below(path: Path, root: Path) -> bool:
    """Whether a path lies in a folder by its name; links are not followed."""
    whole, around = (os.path.abspath(each) for each in (path, root))  # noqa: PTH100
    return Path(whole).is_relative_to(around)


def lines_of(file: Path) -> list[str]:
    """Lines of a list of pictures, without the empty ones.

    Raises:
        AnnotationError: the file cannot be read, or is no text in UTF-8.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        problem = f"is no list of pictures ({in_one_line(error)})"
        raise AnnotationError(file, "", problem) from error
    return [line.strip() for line in text.splitlines() if line.strip()]
