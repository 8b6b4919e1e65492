"""Runs `run.py` and kills its process before the n-th change that it makes to files in a folder.

    python killed_at_event.py N FOLDER run.py OVERRIDE...

Changes are those that Python announces: opening to write, renaming, linking, removing, making a
folder. N = 0 kills never. Every moment between two steps of writing can be hit that way.
"""

import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any

NAMED = {"os.rename": 2, "os.link": 2, "os.remove": 1, "os.mkdir": 1, "os.rmdir": 1}
"""How many of the event's arguments are paths."""


def changed(event: str, arguments: tuple[Any, ...]) -> list[str]:
    """Paths that an event changes."""
    if event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR):
        paths = arguments[:1]
    else:
        paths = arguments[: NAMED.get(event, 0)]
    named = [path for path in paths if isinstance(path, str | bytes | os.PathLike)]
    return [str(Path(os.fsdecode(path)).absolute()) for path in named]


def kill_before(number: int, folder: str) -> None:
    """Have this process, and none that it starts, killed before its n-th change in the folder."""
    process, left = os.getpid(), number

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        inside = any(path.startswith(folder) for path in changed(event, arguments))
        if inside and os.getpid() == process:
            left -= 1
            if left == 0:
                os.kill(process, signal.SIGKILL)

    sys.addaudithook(watch)


if __name__ == "__main__":
    number, folder, *command = sys.argv[1:]
    sys.argv = command
    sys.path.insert(0, str(Path.cwd()))
    kill_before(int(number), folder)
    runpy.run_path(command[0], run_name="__main__")
