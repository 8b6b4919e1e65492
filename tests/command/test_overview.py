"""The first help names everything that there is."""

import subprocess
import sys
from pathlib import Path

import pytest

from bacl.command.check import check_command
from bacl.command.known_jobs import JOBS
from bacl.command.overview import CONF, WIDTH, overview

REPOSITORY = Path(__file__).parents[2]


def named(title: str) -> set[str]:
    """First words of the lines below a title."""
    lines = overview().split(title)[1].split("\n\n")[0].splitlines()[1:]
    return {line.split()[0] for line in lines if not line.startswith("   ")}


def test_jobs_experiments_and_sweeps_are_those_that_exist():
    assert named("job=…") == set(JOBS)
    for group in ("experiment", "sweep"):
        assert named(f"{group}=…") == {path.stem for path in (CONF / group).glob("*.yaml")}


@pytest.fixture(scope="module")
def words():
    return set(overview().replace(",", " ").split())


@pytest.mark.parametrize("path", sorted(CONF.glob("*/*.yaml")), ids=lambda path: path.stem)
def test_every_file_to_choose_is_named(path, words):
    assert path.stem in words


def test_every_job_experiment_and_sweep_is_explained_in_a_line():
    for title in ("job=…", "experiment=…", "sweep=…"):
        for line in overview().split(title)[1].split("\n\n")[0].splitlines()[1:]:
            assert len(line.split()) > 3
            assert len(line) <= WIDTH


def test_every_command_that_it_names_composes():
    lines = [line.strip() for line in overview().splitlines() if line.startswith("  python")]
    commands = [line.split("    ")[0].split()[2:] for line in lines if "…" not in line]
    assert ["+experiment=bacl_demo", "--cfg", "job"] in commands
    for command in commands:
        check_command(command)


def test_help_and_a_command_that_asks_for_nothing_say_the_same():
    def output(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "run.py", *arguments],
            cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
            check=False,
        )  # fmt: skip
        return done.returncode, done.stdout.rstrip("\n")

    assert output("--help") == (0, overview())
    assert output() == (1, overview())
