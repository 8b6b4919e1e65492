"""Thresholds in a final.ckpt: kept, replaced, and read as what they were."""

import shutil

import pytest
import torch

from bacl.checkpoints.handover import load_stage
from bacl.checkpoints.score_thresholds import ScoreThresholds, add_thresholds, saved_thresholds

ONE = ScoreThresholds("best F1", 0.3, [0.2] * 12, [0.1] * 6 + [0.7] * 6)


@pytest.fixture
def path(finished, tmp_path):
    return shutil.copy(finished / "classifier/final.ckpt", tmp_path / "final.ckpt")


def test_each_kind_has_one_for_every_category():
    assert ONE.of("global") == [0.3] * 12
    assert ONE.of("per_group") == [0.2] * 12
    assert ONE.of("per_category")[5:7] == [0.1, 0.7]


def test_they_are_added_as_plain_values_and_nothing_else_changes(path):
    before = load_stage(path)
    add_thresholds(path, {"bacl": ONE})
    after = torch.load(path, weights_only=True)
    assert saved_thresholds(after) == {"bacl": ONE}
    assert before.keys() == after.keys()  # its evaluation had written some
    weights = [content["detector"] for content in (before, after)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_equal_ones_are_not_written_again(path):
    add_thresholds(path, {"bacl": ONE})
    written = path.stat().st_mtime_ns
    add_thresholds(path, {"bacl": ONE})
    assert path.stat().st_mtime_ns == written


def test_a_run_leaves_those_of_its_heads(finished):
    found = saved_thresholds(load_stage(finished / "classifier/final.ckpt"))
    assert list(found) == ["bacl", "baseline"]
    assert found["bacl"].objective == "best F1"
    assert not saved_thresholds(load_stage(finished / "representation/final.ckpt"))
