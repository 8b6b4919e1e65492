"""Chains of kills at changes of files: kill, go on, kill, and so on; then to the end."""

import csv
import json
import random
import re
import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from omegaconf import DictConfig

from bacl.one_pass.plan import PlannedJob, write_plan
from tests.jobs.killed_at_event import KILLED, start

pytestmark = pytest.mark.slow
IN_A_CHAIN = 10
GROUP, ALPHAS = "one_pass/group", ("head.loss.alpha=0.2", "head.loss.alpha=0.7")
CHANGING = ("speed/",)
"""Columns of metrics that the clock decides."""
SMALL = (
    *("data.builder.num_train=8", "data.builder.num_val=2", "data.builder.num_categories=4"),
    *("report.images=1", "trainer.enable_progress_bar=false", "checkpoint_every_minutes=0.0001"),
)
"""Two steps an epoch, two epochs a stage."""


def finish(place: Path, config: DictConfig, run: Path) -> None:
    assert start(0, place, config, run) == 0, (place / "log").read_text()


def kill(place: Path, config: DictConfig, run: Path, numbers: Iterator[int], most: int) -> int:
    """Start a job until it ends by itself, or was killed `most` times; returns how often."""
    for killed in range(most):
        status = start(next(numbers), place, config, run)
        assert status in (0, KILLED), (place / "log").read_text()
        if status == 0:
            return killed
    return most


def drawn(seed: int) -> Iterator[int]:
    """Which change a process is killed before: mostly early ones, so that a chain gets on."""
    draw = random.Random(seed)
    while True:
        yield draw.randrange(1, draw.choice([15, 30, 60, 120]))


def chains(
    place: Path, kills: int, begin: Callable[[Path], DictConfig], run: str
) -> Iterator[Path]:
    """Yield folders in which a job was killed, up to ten times, and came to its end.

    Args:
        place: of their own folders, each with data and tables of its own: making them is hit too.
        kills: that hit, in all of them.
        begin: prepares a folder; gives the configuration.
        run: name of the job's folder in such a folder.
    """
    for seed in count():
        folder = place / str(seed)
        folder.mkdir()
        config = begin(folder)
        kills -= kill(folder, config, folder / run, drawn(seed), min(kills, IN_A_CHAIN))
        finish(folder, config, folder / run)
        yield folder
        shutil.rmtree(folder)
        if not kills:
            return


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [
            {k: v for k, v in row.items() if v and not k.startswith(CHANGING)}
            for row in csv.DictReader(file)
        ]


def files(place: Path) -> set[str]:
    """Names of all files and folders, hidden ones too; digests depend on where the data lie."""
    found = (path for path in place.rglob("*") if path.name != "log")
    return {re.sub("[0-9a-f]{12,}", "#", str(path.relative_to(place))) for path in found}


def outcome(run: Path) -> list:
    return [
        json.loads((run / "DONE").read_text(encoding="utf-8"))["results"],
        (run / "classifier/per_category.csv").read_text(encoding="utf-8"),
        *(rows(run / stage / "metrics.csv") for stage in ("representation", "classifier")),
    ]


@pytest.fixture(scope="module")
def of(tiny) -> Callable[..., DictConfig]:
    """Composes a job with its data in a folder."""
    return lambda place, *overrides: tiny(*SMALL, f"data.root={place}/data", *overrides)


@pytest.fixture(scope="module")
def whole(of, tmp_path_factory) -> Path:
    """Folder with a run that was left alone, and its data."""
    place = tmp_path_factory.mktemp("whole")
    finish(place, of(place), place / "run")
    return place


def test_a_hundred_kills_end_like_a_run_that_was_left_alone(whole, of, differing, tmp_path):
    for place in chains(tmp_path, 100, of, "run"):
        assert outcome(place / "run") == outcome(whole / "run")
        assert not differing(whole / "run", place / "run")
        assert files(place) == files(whole)


def test_kills_before_every_change_that_ends_a_run(whole, of, differing, tmp_path):
    """Evaluation, tables, pictures and DONE, of a run whose training is over."""
    run = shutil.copytree(whole / "run", tmp_path / "run")
    (run / "DONE").rename(run / "FAILED")  # of an earlier start
    assert kill(tmp_path, of(whole), run, count(1), 1000) > 10
    assert outcome(run) == outcome(whole / "run")
    assert not differing(whole / "run", run)
    assert files(run) == files(whole / "run")


def test_kills_before_every_change_of_a_test(whole, of, tmp_path):
    run = shutil.copytree(whole / "run", tmp_path / "run")
    config = of(whole, "job=test")
    finish(tmp_path, config, run)
    (expected,) = (run / "classifier").glob("test_*")
    found, expected = expected, expected.rename(tmp_path / "expected")
    assert kill(tmp_path, config, run, count(1), 1000) > 3
    assert files(found) == files(expected)
    for name in ("results.json", "per_category.csv"):
        assert (found / name).read_bytes() == (expected / name).read_bytes()


def test_kills_in_one_pass_end_like_jobs_that_were_left_alone(of, differing, tmp_path):
    def begin(place: Path) -> DictConfig:
        jobs = [PlannedJob(place / a / "seed_0", [a], of(place, a)) for a in ALPHAS]
        write_plan(place / GROUP, jobs)
        return of(place, "job=fit_group")

    whole = tmp_path / "whole"
    finish(whole, begin(whole), whole / GROUP)
    for place in chains(tmp_path, 20, begin, GROUP):
        for alpha in ALPHAS:
            mine, theirs = (folder / alpha / "seed_0" for folder in (place, whole))
            assert outcome(mine) == outcome(theirs)
            assert not differing(mine, theirs)
        assert files(place) == files(whole)
