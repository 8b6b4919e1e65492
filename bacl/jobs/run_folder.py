"""A run's folder: what made it, and the refusal to mix two configurations in it."""

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities.rank_zero import rank_zero_only
from omegaconf import DictConfig, OmegaConf

# A resumed run may use other hardware, other logs or look at other figures.
FREE = {
    *("trainer", "logger", "job", "report", "checkpoint", "checkpoint_every_minutes", "hydra"),
    *(f"datamodule.{option}" for option in ("num_workers", "val_batch_size", "pin_memory")),
}
PACKAGES = (
    "torch",
    "torchvision",
    "lightning",
    "hydra-core",
    "torchmetrics",
    "numpy",
    "pycocotools",
)


def plain(config: DictConfig) -> dict[str, Any]:
    """The resolved configuration as plain dictionaries and lists."""
    return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]


@rank_zero_only
def record(config: DictConfig, folder: Path) -> None:
    """Write config.yaml and environment.json on the first start; check them on later ones.

    Raises:
        ValueError: the folder holds a run of another configuration; names what differs.
    """
    path = folder / "config.yaml"
    if path.exists():
        _check_same(plain(OmegaConf.load(path)), plain(config), folder)  # type: ignore[arg-type]
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "environment.json", json.dumps(environment(), indent=1))
    write_text(path, OmegaConf.to_yaml(config, resolve=True))


def environment() -> dict[str, Any]:
    """Command, git commit, Python and package versions of this process."""
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "git_commit": _git("rev-parse", "HEAD"),
        "git_changes": _git("status", "--porcelain", "--untracked-files=no").splitlines(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def write_text(path: Path, text: str) -> None:
    """Write a file as a whole or not at all."""
    temporary = path.with_suffix(path.suffix + ".tmp")
    temporary.write_text(text)
    temporary.replace(path)


def _git(*arguments: str) -> str:
    # An installed package has no checkout: the commit is then unknown, and says so.
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _check_same(earlier: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    before, after = _flat(earlier), _flat(now)
    keys = sorted(key for key in before | after if not {key, key.split(".")[0]} & FREE)
    changed = [
        f"{key}: {before.get(key, '(absent)')} -> {after.get(key, '(absent)')}"
        for key in keys
        if before.get(key) != after.get(key)
    ]
    if changed:
        raise ValueError(
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
