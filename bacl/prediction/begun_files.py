"""Files that an unfinished prediction has written one by one: the next one removes them first.

Results appear as a whole at the end. Drawings and text files of single pictures do not, and those
of another model, or with other options, must not lie among those of a whole prediction.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath

from bacl.files.atomic import remove, telling_refusal


class BegunFiles:
    """A list of them, which is kept until the results are whole.

    Args:
        output: folder of the results.
        path: of the list, a line of json each.
    """

    def __init__(self, output: Path, path: Path) -> None:
        self._output, self._path = output, path
        self._known: set[Path] = set()

    def note(self, files: Iterable[Path]) -> None:
        """List files that are about to be written, each once, but for those that are there.

        These are a user's: a prediction that comes to nothing is no reason to remove them.

        Raises:
            UnwritableError: the list cannot be written.
        """
        asked = [path for path in files if path not in self._known]
        self._known.update(asked)
        with telling_refusal(self._path):
            new = [path for path in asked if not path.exists()]
            lines = [json.dumps(path.relative_to(self._output).as_posix()) for path in new]
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="ascii") as file:
                file.write("".join(f"{line}\n" for line in lines))

    def remove(self) -> None:
        """Remove what an earlier command has listed, and folders that are empty then.

        Raises:
            UnwritableError: the system lets none of it be removed.
        """
        for path in self._listed():
            remove(path)
            with suppress(OSError):  # not empty
                for folder in path.relative_to(self._output).parents:
                    (self._output / folder).rmdir()
        remove(self._path)

    def _listed(self) -> list[Path]:
        """Files of the folder alone, whatever the list says."""
        try:
            lines = self._path.read_text(encoding="ascii").splitlines()
        except (OSError, UnicodeDecodeError):
            return []
        names = []
        for line in lines:
            with suppress(ValueError):  # the last one, cut off by a kill
                names.append(PurePosixPath(str(json.loads(line))))
        inside = [name for name in names if not name.is_absolute() and ".." not in name.parts]
        return [self._output / name for name in inside if name.parts]
