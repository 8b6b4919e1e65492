"""The files below a folder, through links too, each folder once; and what was passed over."""

import glob
import os
import stat
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from bacl.messages.errors import OptionError

HIDDEN = "hidden files and folders"
TWICE = "folders that links lead to again"
CLOSED = "folders that cannot be opened"
RESULTS = "folders of results"
LOCKED = "files and folders that cannot be looked at"
SPECIAL = "pipes, sockets and devices"


class FileTree:
    """Looks for files.

    A folder that is reached on several ways (by a link to one that is searched anyway, or by a
    link to one around it, which has no end) is searched once, under the name without links.

    Args:
        excluded: a folder in which nothing is looked for.
    """

    def __init__(self, excluded: Path | None = None) -> None:
        self.skipped: Counter[str] = Counter()
        """Files and folders that were passed over, by what they are."""
        self._excluded = None if excluded is None else excluded.resolve()
        self._seen: set[Path] = set()

    def inside(self, folder: Path) -> list[Path]:
        """The files below a folder, in any order."""
        found: list[Path] = []
        folders, links = [folder], list[Path]()
        while folders or links:
            place = folders.pop() if folders else links.pop(0)
            if self._is_new(place):
                for path in self._visible(place):
                    kind = self._kind(path)
                    if kind == stat.S_IFDIR:
                        (links if path.is_symlink() else folders).append(path)
                    elif kind == stat.S_IFREG:
                        found.append(path)
        return found

    def matching(self, pattern: str) -> list[Path]:
        """The files that a pattern names.

        Raises:
            OptionError: there is none.
        """
        if "**" in Path(pattern).parts:  # glob itself goes round and round through links
            parts = Path(pattern).parts
            start = next(place for place, part in enumerate(parts) if set(part) & set("*?["))
            base = Path(*parts[:start])
            found = self.inside(base) if base.is_dir() else []
            depth = len(base.parts)
            paths = [path for path in found if _matches(path.parts[depth:], parts[start:])]
        else:
            # Path.glob refuses absolute patterns.
            names = glob.glob(pattern)  # noqa: PTH207
            paths = [path for path in map(Path, names) if self._kind(path) == stat.S_IFREG]
        if not paths:
            raise OptionError(
                f"{pattern}: no such file or folder, and no file matches it as a pattern"
            )
        return [path for path in paths if not self._is_excluded(path.parent.resolve())]

    def _is_new(self, folder: Path) -> bool:
        real = folder.resolve()
        if self._is_excluded(real):
            self.skipped[RESULTS] += 1
        elif real in self._seen:
            self.skipped[TWICE] += 1
        else:
            self._seen.add(real)
            return True
        return False

    def _kind(self, path: Path) -> int | None:
        """Type of a file as the system has it; None, and counted, where it is not to be opened.

        A link that leads nowhere counts as a file: what opens it tells so.
        """
        try:
            kind = stat.S_IFMT(path.stat().st_mode)
        except PermissionError:
            self.skipped[LOCKED] += 1
            return None
        except OSError:
            return stat.S_IFREG
        if kind in (stat.S_IFREG, stat.S_IFDIR):
            return kind
        self.skipped[SPECIAL] += 1  # opening a pipe may wait for ever
        return None

    def _is_excluded(self, real: Path) -> bool:
        return self._excluded is not None and real.is_relative_to(self._excluded)

    def _visible(self, folder: Path) -> Iterator[Path]:
        try:
            names = sorted(os.listdir(folder))  # noqa: PTH208
        except OSError:
            self.skipped[CLOSED] += 1
            return
        hidden = [name for name in names if name.startswith(".")]
        self.skipped[HIDDEN] += len(hidden)
        yield from (folder / name for name in names if not name.startswith("."))


def _matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether a path fits a pattern, part by part; ** stands for any number of folders."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_matches(parts[skip:], pattern[1:]) for skip in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])
