"""Runs on several processes that have few images, or come to an early end."""

import json
import signal

import pytest

from bacl.jobs import fit
from bacl.messages.errors import OptionError
from tests.jobs.started import AT_ONCE, processes, results, start


def test_a_batch_that_processes_cannot_share_leaves_nothing_behind(tiny, tmp_path):
    with pytest.raises(OptionError, match="multiple of their number, 3"):
        fit.run(tiny(*processes(3)), tmp_path / "run")
    with pytest.raises(OptionError, match="the training images with objects are only 16"):
        fit.run(tiny("datamodule.batch_size=17"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_fewer_validation_images_than_processes(tiny_overrides, tmp_path):
    """A process without a batch of its own would leave the others waiting."""
    own = ["data.builder.num_val=1", f"data.root={tmp_path / 'data'}", "datamodule.batch_size=6"]
    several = start(tmp_path / "run", *tiny_overrides, *own, *processes(3))
    assert several.communicate(timeout=300)[1].count("Traceback") == 0
    assert several.returncode == 0
    checkpoint = tmp_path / "run/classifier/final.ckpt"
    again = ["job=test", f"checkpoint={checkpoint}"]
    assert start(tmp_path / "t", *tiny_overrides, *own, *again).wait(timeout=300) == 0
    (alone,) = checkpoint.parent.glob("test_*/results.json")
    assert json.loads(alone.read_text()) == results(tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("several", [False, True])
def test_a_signal_loses_no_step(tiny_overrides, differing, tmp_path, number, several):
    options = [*tiny_overrides, AT_ONCE, *(processes(2) if several else [])]
    ended, whole = tmp_path / "ended", tmp_path / "whole"
    for stage in ("representation", "classifier"):
        process = start(ended, *options, signalled=[number.name, "self", stage])
        said = process.communicate(timeout=300)[1]
        assert process.returncode == 128 + number
        assert "Traceback" not in said
        assert f"ended by {number.name} after" in said.splitlines()[-1]
        assert (ended / stage / "last.ckpt").exists() or (ended / stage / "final.ckpt").exists()
    for folder in (ended, whole):
        assert start(folder, *options).wait(timeout=300) == 0
    assert not differing(ended, whole)
    assert results(ended) == results(whole)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("killed", "told"),
    [("self", "the first process has ended"), ("second", "process 2 of 2 was killed")],
)
def test_a_killed_process_ends_the_others(tiny_overrides, tmp_path, killed, told):
    signalled = ["SIGKILL", killed, "representation"]
    process = start(tmp_path, *tiny_overrides, *processes(2), signalled=signalled)
    said = process.communicate(timeout=300)[1]  # until all of them have closed the pipe
    assert told in said
    assert "Traceback" not in said
