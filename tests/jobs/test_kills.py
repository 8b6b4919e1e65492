"""Chains of kills at changes of files: kill, go on, kill, and so on; then to the end.

Data, tables and runs are of each chain alone, so that every step of making them is hit.
"""

import csv
import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
CHILD = Path(__file__).with_name("killed_at_event.py")
KILLS, CHAINS = 10, 10
CHANGING = ("speed/",)
"""Columns of metrics that the clock decides."""


def start(place: Path, number: int, overrides: list[str]) -> int:
    """One process, in data and run folders of `place`; returns its exit status."""
    places = [f"data.root={place}/data", f"hydra.run.dir={place}/run"]
    command = [sys.executable, str(CHILD), str(number), f"{place}/", "run.py", *overrides]
    cache = {"XDG_CACHE_HOME": str(place.parent / "cache"), "OMP_NUM_THREADS": "1"}
    with (place / "log").open("w", encoding="utf-8") as log:
        return subprocess.run(
            [*command, *places, "checkpoint_every_minutes=0.0001"], cwd=REPOSITORY,
            env=os.environ | cache, stdout=log, stderr=subprocess.STDOUT, check=False,
        ).returncode  # fmt: skip


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [
            {k: v for k, v in row.items() if v and not k.startswith(CHANGING)}
            for row in csv.DictReader(file)
        ]


def files(place: Path) -> set[str]:
    """Names of all files and folders, hidden ones too; digests depend on where the data lie."""
    found = (path for path in place.rglob("*") if path.name not in ("log", "job.log"))
    return {re.sub("[0-9a-f]{12,}", "#", str(path.relative_to(place))) for path in found}


def outcome(place: Path) -> list:
    run = place / "run"
    return [
        json.loads((run / "DONE").read_text(encoding="utf-8"))["results"],
        (run / "classifier/per_category.csv").read_text(encoding="utf-8"),
        *(rows(run / stage / "metrics.csv") for stage in ("representation", "classifier")),
    ]


@pytest.mark.slow
def test_chained_kills_end_like_a_run_that_was_left_alone(tiny_overrides, differing, tmp_path):
    overrides = [*tiny_overrides[:-1], "report.images=1", "trainer.enable_progress_bar=false"]
    whole = tmp_path / "whole"
    whole.mkdir()
    assert start(whole, 0, overrides) == 0, (whole / "log").read_text()
    for chain in range(CHAINS):
        draw, killed = random.Random(chain), tmp_path / str(chain)
        killed.mkdir()
        for _ in range(KILLS):
            start(killed, draw.randrange(1, draw.choice([15, 30, 60, 120])), overrides)
        assert start(killed, 0, overrides) == 0, (killed / "log").read_text()
        assert outcome(killed) == outcome(whole)
        assert not differing(whole / "run", killed / "run")
        assert files(killed) == files(whole)
        shutil.rmtree(killed)
