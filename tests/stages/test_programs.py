"""Trainings whose extractor is computed by programs: compile=…"""

import pytest
import torch

from bacl.assembly.trainer import feature_caching
from bacl.messages.errors import OptionError

ONE_STEP = "trainer.limit_train_batches=1"
RECORDED = ("compile=inductor", "compile.backend=eager")


@pytest.fixture(autouse=True)
def _nothing_of_other_tests():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.parametrize("name", ["representation", "classifier"])
def test_a_stage_learns_the_same_and_saves_the_same_names(bench, snapshot, name):
    plain = snapshot(bench(name, ONE_STEP).fit())
    stage = bench(name, ONE_STEP, *RECORDED).fit()
    assert len(stage.detector.extract._kept) == 1
    found = snapshot(stage)
    assert found.keys() == plain.keys()
    tensors = {key: value for key, value in plain.items() if isinstance(value, torch.Tensor)}
    assert len(tensors) > 50
    assert all(torch.equal(found[key], value) for key, value in tensors.items())


def test_kept_features_go_through_no_program(bench):
    table = bench("classifier", "detector.each_alone=true", "cache=features", *RECORDED)

    (caching,) = feature_caching(table.config)
    with pytest.raises(OptionError, match="each picture goes through the backbone once"):
        caching.check("classifier", table.stage, table.data.augment)


def test_canvases_are_refused_before_any_work(bench):
    with pytest.raises(OptionError, match=r"\[100, 96\] are no multiples of 32"):
        bench("classifier", "compile=cuda_graphs", "compile.canvases=[[100,96]]")
