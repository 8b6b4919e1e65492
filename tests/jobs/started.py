"""Runs that are started as a user starts them, on one process or several."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
CHILD = Path(__file__).with_name("signalled_in_step.py")
AT_ONCE = "checkpoint_every_minutes=1000"


def processes(number: int) -> list[str]:
    """How a command asks for so many."""
    return ["trainer=ddp", "trainer.accelerator=cpu", f"trainer.devices={number}"]


def start(
    folder: Path,
    *overrides: str,
    signalled: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen:
    """Start a run; `signalled` says in which step it signals which process."""
    before = [str(CHILD), *signalled] if signalled else []
    command = [sys.executable, *before, "run.py", *overrides, f"hydra.run.dir={folder}"]
    own = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", **(environment or {})}
    return subprocess.Popen(
        command, cwd=REPOSITORY, env=os.environ | own, encoding="utf-8", start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def results(folder: Path) -> dict:
    """Of a finished run."""
    return json.loads((folder / "classifier/results.json").read_text())
