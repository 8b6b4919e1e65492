"""The command of a job: whatever its folder is called, and without what starts jobs."""

import random
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from bacl.launchers.process_launcher import ProcessLauncher


def command(folder: str, *hydra: str) -> list[str]:
    launcher = ProcessLauncher()
    launcher.master = OmegaConf.create({"hydra": {"overrides": {"hydra": list(hydra)}}})
    return launcher.command(["seed=1"], Path(folder))


def place(folder: str) -> str:
    """What a job's process makes of its last word."""
    override = OverridesParser.create().parse_override(command(folder)[-1])
    assert not override.is_sweep_override()
    config = OmegaConf.create({"hydra": {"run": {"dir": override.value()}}})
    return config.hydra.run.dir


@pytest.mark.parametrize(
    "folder",
    [
        "/runs/run/head.loss.alpha-0.7/seed_0",
        "/my runs/it's (1)/[x]{y}/a=1,b=2",
        "/back\\slash\\",
        "/quote\\'s",
        "/cost in $/${name}/\\${x}/\\\\${y}",
        "/Ωé",
    ],
)
def test_a_job_is_put_where_its_folder_is(folder):
    assert place(folder) == folder


def test_any_letters_do():
    draw = random.Random(0)
    for _ in range(2000):
        folder = "/" + "".join(draw.choices("ab '\"\\${}=,()[]", k=draw.randint(1, 8)))
        assert place(folder) == str(Path(folder))


def test_a_job_is_given_hydras_options_but_not_what_starts_jobs():
    given = [
        *("hydra.mode=MULTIRUN", "hydra/launcher=one_pass", "hydra.launcher.parallel=2"),
        *("hydra/sweeper=rows", "hydra.verbose=true", "hydra/job_logging=stdout"),
    ]
    assert command("/x", *given)[2:] == [
        *("hydra.mode=MULTIRUN", "hydra.verbose=true", "hydra/job_logging=stdout", "seed=1"),
        *("hydra.mode=RUN", "hydra.run.dir='/x'"),
    ]
