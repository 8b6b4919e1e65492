"""A head that fails beside others fails alone; the message has the command that trains it."""

import json
import shlex
from pathlib import Path

import pytest
import torch

from bacl.heads.calibrations import LogN
from bacl.jobs import fit, fit_group, test_group
from bacl.losses import FCBL
from bacl.one_pass.plan import PlannedJob, write_plan
from bacl.one_pass.variants import PlannedTest, write_variants
from bacl.runs import run_through
from bacl.runs.buildable import buildable
from bacl.runs.lost_heads import LostHeadsError
from bacl.runs.outcome import read_outcome
from tests.jobs.test_test_group import COMMON, copied


@pytest.fixture(scope="module")
def overrides(tiny_overrides, finished) -> list[str]:
    """Of a command whose classifier stage starts from the finished run's first one."""
    start = finished / "representation/final.ckpt"
    started = ["stage=classifier", f"stages.classifier.init.detector={start}"]
    return [*tiny_overrides, *started, "report.errors=false"]


@pytest.fixture(scope="module")
def both(compose_config, overrides, tmp_path_factory) -> Path:
    """The run in which nothing fails."""
    folder = tmp_path_factory.mktemp("both")
    fit.run(compose_config(*overrides), folder)
    return folder


def head(run: Path, name: str = "bacl") -> dict[str, torch.Tensor]:
    return torch.load(run / "classifier/final.ckpt")["heads"][name]


def assert_equal(first: dict, second: dict) -> None:
    assert first.keys() == second.keys()
    tensors = {k: v for k, v in first.items() if isinstance(v, torch.Tensor)}
    assert all(torch.equal(value, second[key]) for key, value in tensors.items())


def failing(method: str, fails):
    """`method` of FCBL, that raises an error where `fails` says so."""
    original = getattr(FCBL, method)

    def replaced(self, *arguments, **options):
        if fails(self):
            raise ValueError("no groups here")
        return original(self, *arguments, **options)

    return replaced


PLACES = {
    "forward": (lambda loss: loss.indicator.counts.any(), "at step 1"),
    "observe": (lambda loss: True, "at step 0"),
    "probabilities": (lambda loss: not loss.training, "in the evaluation"),
}


@pytest.mark.parametrize(
    "method",
    ["forward", *(pytest.param(x, marks=pytest.mark.slow) for x in ("observe", "probabilities"))],
)
def test_the_other_head_of_a_run_ends_as_without_it(
    compose_config, overrides, both, tmp_path, monkeypatch, method
):
    fails, place = PLACES[method]
    monkeypatch.setattr(run_through, "command_overrides", lambda: overrides)
    with monkeypatch.context() as broken:
        broken.setattr(FCBL, method, failing(method, fails))
        for _ in range(2):  # given again, the finished training tells the same
            with pytest.raises(LostHeadsError) as told:
                fit.run(compose_config(*overrides), tmp_path / "run")
            message = str(told.value)
            assert f"bacl: ValueError: no groups here {place}" in message
            assert "1 of 2 heads failed; baseline went on without them" in message
            assert read_outcome(tmp_path / "run").reason == message
    assert_equal(head(tmp_path / "run", "baseline"), head(both, "baseline"))
    results = json.loads((tmp_path / "run/classifier/results.json").read_text())
    assert "baseline" in results
    assert "bacl" not in results
    command = shlex.split(message.split("alone: ")[1])
    assert command[:2] == ["python", "run.py"]
    fit.run(compose_config(*command[2:]), tmp_path / "alone")
    assert_equal(head(tmp_path / "alone"), head(both))


def test_where_all_fail_the_first_error_ends_the_run(
    compose_config, overrides, tmp_path, monkeypatch
):
    monkeypatch.setattr(FCBL, "forward", failing("forward", lambda loss: True))
    with pytest.raises(ValueError, match="no groups here"):
        fit.run(compose_config(*overrides, "~stages.classifier.heads.baseline"), tmp_path)


def test_a_job_that_fails_in_a_group_leaves_the_others_and_goes_on_alone(
    compose_config, overrides, both, tmp_path, monkeypatch
):
    jobs = {"loss": ["head.loss.alpha=0.123"], "scores": ["head.loss.alpha=0.456"], "good": []}
    planned = {
        name: PlannedJob(tmp_path / name, [*overrides, *own], compose_config(*overrides, *own))
        for name, own in jobs.items()
    }
    write_plan(tmp_path / "group", list(planned.values()))
    with monkeypatch.context() as broken:
        broken.setattr(FCBL, "forward", failing("forward", lambda loss: loss.alpha == 0.123))
        evaluated = failing("probabilities", lambda x: x.alpha == 0.456 and not x.training)
        broken.setattr(FCBL, "probabilities", evaluated)
        fit_group.run(compose_config(*overrides), tmp_path / "group")
    for name, place in (("loss", "at step 0"), ("scores", "in the evaluation")):
        end = read_outcome(tmp_path / name)
        assert end.status == "failed"
        assert f"bacl: ValueError: no groups here {place}" in end.reason
    assert read_outcome(tmp_path / "good").status == "done"
    for name in ("bacl", "baseline"):
        assert_equal(head(tmp_path / "good", name), head(both, name))
    command = shlex.split(read_outcome(tmp_path / "loss").reason.split("goes on with: ")[1])
    fit.run(compose_config(*command[2:]), tmp_path / "loss")
    assert read_outcome(tmp_path / "loss").status == "done"


def test_a_calibration_that_fails_on_training_images_leaves_the_other_tests(
    finished, tiny, tmp_path, monkeypatch
):
    def broken(self, logits, labels):
        raise ValueError("these logits are no logits")

    monkeypatch.setattr(LogN, "observe", broken)
    monkeypatch.setattr(test_group, "command_overrides", lambda: COMMON)
    checkpoint = copied(finished, tmp_path, "together")
    settings = [[*COMMON, f"calibration={name}"] for name in ("logn", "tau_norm")]
    write_variants(tmp_path / "group", [PlannedTest.of(tiny(*own), own) for own in settings])
    test_group.run(tiny(f"checkpoint={checkpoint}", *COMMON), tmp_path / "group")
    ends = [read_outcome(path.parent) for path in checkpoint.parent.glob("test_*/*[DE]")]
    assert sorted(end.status for end in ends) == ["done", "failed"]
    (failed,) = [end for end in ends if end.status == "failed"]
    assert "ValueError: these logits are no logits when its calibration looked" in failed.reason


def test_contenders_that_cannot_be_built_are_left_out_with_a_line(tiny, monkeypatch, caplog):
    made = FCBL.__init__

    def refused(self, *arguments, **options):
        made(self, *arguments, **options)
        raise ValueError("no groups here")

    monkeypatch.setattr(FCBL, "__init__", refused)
    config = tiny("data.num_classes=12")
    with caplog.at_level("INFO"):
        rest, lost = buildable(config)
    assert list(rest.stages.classifier.heads) == ["baseline"]
    assert list(config.stages.classifier.heads) == ["bacl", "baseline"]
    assert list(lost) == ["bacl"]
    assert "bacl: left out, it cannot be built with these data" in caplog.text
    alone = tiny("data.num_classes=12", "~stages.classifier.heads.baseline")
    assert buildable(alone) == (alone, {})
