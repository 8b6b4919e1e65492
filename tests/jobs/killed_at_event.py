"""Runs a job and kills its process before the n-th change that it makes to files in a folder.

Changes are those that Python announces: opening to write, renaming, linking, removing, making a
folder. Every moment between two steps of writing can be hit that way. The processes are forks of
one that has imported the libraries, and are given a composed configuration, so that a hundred of
them take minutes.
"""

import multiprocessing
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from bacl.command.known_jobs import JOBS, STARTED_BY_LAUNCHERS

KILLED = -signal.SIGKILL
"""The exit status of a process that came to its kill."""
NAMED = {"os.rename": 2, "os.link": 2, "os.remove": 1, "os.mkdir": 1, "os.rmdir": 1}
"""How many of the event's arguments are paths."""
MODULES = JOBS | STARTED_BY_LAUNCHERS
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([*MODULES.values(), "matplotlib.pyplot"])


def start(number: int, place: Path, config: DictConfig, run: Path) -> int:
    """Run a job; kill it before its n-th change in a folder, with 0 never.

    Args:
        number: n.
        place: the folder; its `log` has what the job says.
        config: composed.
        run: the job's own folder.

    Returns:
        The exit status, `KILLED` if the job came that far.
    """
    process = FORKS.Process(target=_run, args=(number, place, config, run))
    process.start()
    process.join()
    return process.exitcode


def _run(number: int, place: Path, config: DictConfig, run: Path) -> None:
    with (place / "log").open("w", encoding="utf-8") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    kill_before(number, f"{place}/")
    import_module(MODULES[config.job]).run(config, run)


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
