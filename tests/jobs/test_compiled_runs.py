"""Runs with compile=inductor: interrupted, on two processes, and in one pass."""

import pytest
import torch

from bacl.jobs import fit, fit_group
from bacl.one_pass.plan import PlannedJob, write_plan
from tests.jobs.started import AT_ONCE, processes, results, start

pytestmark = pytest.mark.slow
COMPILED = ("compile=inductor", "detector.backbone.width=8", "trainer.enable_progress_bar=false")
PATIENCE = 1800
"""Seconds; compilers take most of them."""
GIVEN_UP = "no program could be made"


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """The folder of what is compiled, at first empty."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "programs"))
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "1")
    torch.compiler.reset()
    yield tmp_path / "programs"
    torch.compiler.reset()


@pytest.mark.parametrize("several", [False, True])
def test_a_signal_loses_no_step(tiny_overrides, differing, tmp_path, programs, several):
    """Programs are in no checkpoint: who goes on makes them again."""
    options = [*tiny_overrides, *COMPILED, AT_ONCE, *(processes(2) if several else [])]
    ended, whole = tmp_path / "ended", tmp_path / "whole"
    for stage in ("representation", "classifier"):
        process = start(ended, *options, signalled=["SIGTERM", "self", stage])
        said = process.communicate(timeout=PATIENCE)[1]
        assert process.returncode == 143, said
        assert GIVEN_UP not in said
    for folder in (ended, whole):
        process = start(folder, *options)
        said = process.communicate(timeout=PATIENCE)[1]
        assert process.returncode == 0, said
        assert GIVEN_UP not in said
    assert list(programs.rglob("*.so"))
    assert not differing(ended, whole)
    assert results(ended) == results(whole)


def test_a_job_of_one_pass_is_bit_for_bit_the_run_of_its_own(
    tiny, differing, tmp_path, programs, caplog
):
    configs = {
        alpha: tiny(*COMPILED, f"head.loss.alpha={alpha}", "report.errors=false")
        for alpha in (0.7, 0.9)
    }
    jobs = [
        PlannedJob(tmp_path / str(alpha), [f"head.loss.alpha={alpha}"], config, True)
        for alpha, config in configs.items()
    ]
    write_plan(tmp_path / "group", jobs)
    fit_group.run(tiny(*COMPILED), tmp_path / "group")
    fit.run(configs[0.9], tmp_path / "alone")
    assert list(programs.rglob("*.so"))
    assert GIVEN_UP not in caplog.text
    assert not differing(tmp_path / "0.9", tmp_path / "alone")
    assert results(tmp_path / "0.9") == results(tmp_path / "alone")
    assert differing(tmp_path / "0.7", tmp_path / "alone")
