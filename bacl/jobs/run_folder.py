"""A run's folder: what made it, and the refusal to mix two configurations in it."""

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities.rank_zero import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from bacl.atomic import replacing
from bacl.errors import UserError
from bacl.jobs.naming import is_free

PACKAGES = (
    *("torch", "torchvision", "lightning", "hydra-core", "torchmetrics"),
    *("numpy", "pycocotools", "pillow", "timm"),
)


class OtherConfigurationError(UserError, ValueError):
    """The folder holds a run of another configuration."""


def plain(config: DictConfig) -> dict[str, Any]:
    """The resolved configuration as plain dictionaries and lists."""
    return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]


@rank_zero_only
def record(config: DictConfig, folder: Path) -> None:
    """Write config.yaml on the first start and check it on later ones; note every start.

    environment.json has one record per start: command, git commit and versions.

    Raises:
        OtherConfigurationError: names the options that differ.
    """
    path, starts = folder / "config.yaml", folder / "environment.json"
    if path.exists():
        _check_same(plain(OmegaConf.load(path)), plain(config), folder)  # type: ignore[arg-type]
    else:
        write_text(path, OmegaConf.to_yaml(config, resolve=True))
    earlier = json.loads(starts.read_text()) if starts.exists() else []
    write_text(starts, json.dumps([*earlier, environment()], indent=1))


def environment() -> dict[str, Any]:
    """Command, git commit, Python and package versions of this process."""
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "git_commit": _git("rev-parse", "HEAD"),
        "git_changes": _git("status", "--porcelain", "--untracked-files=no").splitlines(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def write_text(path: Path, text: str) -> None:
    """Write a file as a whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # timm is optional
        return "not installed"


def _git(*arguments: str) -> str:
    # An installed package has no checkout: the commit is then unknown, and says so.
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _check_same(earlier: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    before, after = _flat(earlier), _flat(now)
    changed = [
        f"{key}: {before.get(key, '(absent)')} -> {after.get(key, '(absent)')}"
        for key in sorted(before | after)
        if not is_free(key) and before.get(key) != after.get(key)
    ]
    if changed:
        raise OtherConfigurationError(
            f"{folder} holds a run of another configuration ({'; '.join(changed[:5])}): "
            "give this one another name=…, or delete the folder"
        )


def _flat(config: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(config, dict):
        return {prefix: config}
    parts = (
        _flat(value, f"{prefix}.{key}" if prefix else str(key)) for key, value in config.items()
    )
    return {key: value for part in parts for key, value in part.items()}
