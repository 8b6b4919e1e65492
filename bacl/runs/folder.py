"""A run's folder: what made it, and the refusal to mix two configurations in it."""

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from bacl.assembly.restored import command_overrides
from bacl.files.atomic import replacing, telling_refusal
from bacl.files.leftovers import sweep
from bacl.files.lock import LOCKS, lock
from bacl.files.plain_values import read_yaml
from bacl.messages.errors import UserError
from bacl.options.composed import plain
from bacl.processes.cores import usable_cores
from bacl.runs.earlier_version import read_record

PACKAGES = (
    *("torch", "torchvision", "lightning", "hydra-core", "torchmetrics"),
    *("numpy", "pycocotools", "pillow", "timm"),
)

ALWAYS = {"data", "seed", "stages"}
"""Options of every version."""
EARLIER = re.compile(r"\.[^.]+\.\d+(\.[^.]+)?")
"""Names that earlier versions gave to unfinished files of a run, as `.last.1234.ckpt`."""


class OtherConfigurationError(UserError, ValueError):
    """The folder holds a run of another configuration."""


@rank_zero_only
def record(config: DictConfig, folder: Path, **notes: Any) -> None:
    """Write config.yaml on the first start and check it on later ones; note every start.

    environment.json has one record per start: command, git commit and versions, and `notes`.
    Options that an earlier version did not know are added to config.yaml as they were then: what
    they are by default may change, what this run is made of does not.

    Raises:
        OtherConfigurationError: names the options that differ.
    """
    path, starts = folder / "config.yaml", folder / "environment.json"
    if path.exists():
        now = plain(config)
        earlier = read_record(_recorded(path, now), now, command_overrides())
        if earlier.refusal:
            raise OtherConfigurationError(f"{folder} {earlier.refusal}")
        if earlier.later:
            write_text(path, yaml.safe_dump(earlier.config, sort_keys=False, allow_unicode=True))
            print(f"{folder} was begun before these were options: {earlier.told}", flush=True)
    else:
        write_text(path, OmegaConf.to_yaml(config, resolve=True))
    write_text(starts, json.dumps([*_earlier_starts(starts), environment() | notes], indent=1))


def _recorded(path: Path, now: dict[str, Any]) -> dict[str, Any]:
    config = read_yaml(path)
    if not isinstance(config, dict) or ALWAYS & set(now) - set(config):
        raise UserError(
            f"{path} is damaged (it is no configuration); if the folder holds a run of this very "
            "command, delete the file, else the folder"
        )
    return config


def _earlier_starts(path: Path) -> list[Any]:
    """The records of earlier starts; none where the file is damaged: nothing is decided by it."""
    if not path.exists():
        return []
    try:
        starts = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        starts = error
    if isinstance(starts, list):
        return starts
    print(f"{path} is damaged; it begins anew with this start", flush=True)
    return []


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Keep the folder to this process (and those it trains with) while the block runs.

    It is waited for a little, and swept of what killed processes left in it.

    Raises:
        BusyFolderError: another process works in the folder.
    """
    if rank_zero_only.rank or not LOCKS:  # type: ignore[attr-defined]
        yield
        return
    with telling_refusal(folder):
        folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        lock(handle, folder)
        sweep(folder, below=True, earlier=lambda path: EARLIER.fullmatch(path.name))
        yield
    finally:
        os.close(handle)
        with suppress(OSError):  # it has files, unless the run was refused before any was written
            folder.rmdir()


def environment() -> dict[str, Any]:
    """Command, git commit, Python and package versions of this process."""
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "git_commit": _git("rev-parse", "HEAD"),
        "git_changes": _git("status", "--porcelain", "--untracked-files=no").splitlines(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": usable_cores(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def write_text(path: Path, text: str) -> None:
    """Write a file as a whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # timm is optional
        return "not installed"


def _git(*arguments: str) -> str:
    # An installed package has no checkout: the commit is then unknown, and says so.
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        return subprocess.run(
            command, capture_output=True, encoding="utf-8", check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
