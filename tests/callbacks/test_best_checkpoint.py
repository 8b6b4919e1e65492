"""The best weights of validations within a training, and its early end."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from bacl.callbacks.best_checkpoint import BestCheckpoint
from bacl.evaluation.groups import CategoryGroup, Grouping
from bacl.evaluation.measures import Measure
from bacl.messages.errors import OptionError
from tests.tiny_stage import TinyStage

AP, APR = Measure("AP", "AP", "main"), Measure("APr", "AP_r", "main", "r")


class Validated(TinyStage):
    """Its validations find these values, one after the other."""

    def __init__(self, *values: float):
        super().__init__()
        self.found = list(values)
        self.variants = dict.fromkeys(self.heads)
        self.metrics = nn.ModuleDict()
        groups = [
            CategoryGroup(k, k, np.array(m))
            for k, m in (("r", [True, False]), ("c", [False, True]))
        ]
        table = SimpleNamespace(labels=np.array([1, 0]), trainable=np.array([True, False]))
        grouping = Grouping(tuple(groups), by_instances=False)
        metric = SimpleNamespace(measures=[AP, APR], table=table, grouping=grouping)
        self.metrics.values = lambda: [metric]

    def validation_step(self, batch, batch_idx):
        pass

    def on_validation_epoch_end(self):
        if not self.trainer.sanity_checking:
            first = next(iter(self.variants), None)
            if first is not None:
                self.log(f"val/{first}/AP", self.found[self.trainer.current_epoch])


@pytest.fixture
def watched(tmp_path):
    """A callback, and the weights that it wrote."""
    written = []

    def make(stage, **options):
        def save(path):
            written.append(stage.heads["bce"].classifiers[0].predictor.weight.detach().clone())

        return BestCheckpoint(tmp_path / "best.ckpt", save, "AP", **options)

    return make, written


def test_the_highest_value_is_the_best_and_the_first_of_equal_ones(fit, watched):
    make, written = watched
    stage = Validated(0.2, 0.5, 0.5, 0.1)
    best = make(stage)
    fit(best, stage=stage, epochs=4, num_sanity_val_steps=1)
    assert (best.best, best.step, best.waited) == (0.5, 8, 2)
    assert len(written) == 2
    weight = stage.heads["bce"].classifiers[0].predictor.weight
    assert not torch.equal(written[1], weight)


def test_a_training_ends_after_validations_without_a_better_one(fit, watched):
    stage = Validated(0.2, 0.5, 0.4, math.nan, 0.9)
    best = watched[0](stage, patience=2)
    trainer = fit(best, stage=stage, epochs=5)
    assert trainer.current_epoch == 4
    assert best.best == 0.5


def test_one_that_was_to_end_when_it_was_interrupted_ends(fit, watched):
    stage = Validated(0.2, 0.2)
    best = watched[0](stage, patience=2)
    best.load_state_dict({"best": 0.5, "step": 3, "waited": 2, "head": "bacl"})
    assert fit(best, stage=stage).global_step == 0


def test_its_state_is_all_that_it_goes_on_from(watched):
    make, _ = watched
    first, second = make(TinyStage()), make(TinyStage())
    first.best, first.step, first.waited, first.head = 0.3, 7, 1, "bacl"
    second.load_state_dict(first.state_dict())
    assert (second.best, second.step, second.waited, second.head) == (0.3, 7, 1, "bacl")


def test_a_head_is_not_compared_with_one_that_was_dropped(fit, watched):
    stage = Validated(0.2, 0.3)
    best = watched[0](stage, patience=1)
    best.load_state_dict({"best": 0.9, "step": 3, "waited": 0, "head": "fhm"})
    fit(best, stage=stage)
    assert (best.best, best.head, best.waited) == (pytest.approx(0.3), "bacl", 0)


# There is no value of it yet, or that of an earlier validation.
@pytest.mark.parametrize(("epoch", "expected"), [(0, (0.9, 4)), (1, (0.3, 12))])
def test_one_whose_evaluation_fails_gives_way_to_the_next(fit, watched, epoch, expected):
    class Failing(Validated):
        def on_validation_epoch_end(self):
            if self.trainer.current_epoch == epoch:
                self.variants.pop("bacl", None)
            super().on_validation_epoch_end()

    stage = Failing(0.9, 0.2, 0.3)
    best = watched[0](stage, patience=1)
    fit(best, stage=stage, epochs=3)
    assert best.head == "bce"
    assert (pytest.approx(best.best), best.step) == expected


def test_a_validation_that_evaluated_nothing_counts_for_nothing(fit, watched):
    stage = Validated(0.2, 0.3)
    stage.variants = {}
    best = watched[0](stage, patience=1)
    assert fit(best, stage=stage).current_epoch == 2
    assert (best.best, best.waited, watched[1]) == (-math.inf, 0, [])


def test_a_measure_without_objects_is_refused(fit, watched):
    stage = Validated(0.2, -1)
    best = watched[0](stage)
    with pytest.raises(OptionError, match=r"^validation\.measure=AP: .* no object that it is of"):
        fit(best, stage=stage, epochs=2)  # a value of -1 is no value
    best._measure = "APr"
    with pytest.raises(OptionError, match=r"^validation\.measure=APr: .* no object that it is of"):
        fit(best, stage=stage)


def test_a_measure_that_no_metric_has_is_refused(fit, watched):
    stage = Validated(0.2)
    best = watched[0](stage)
    best._measure = "APc"
    with pytest.raises(OptionError, match=r"validation\.measure=APc: .*did you mean AP\?"):
        fit(best, stage=stage)
