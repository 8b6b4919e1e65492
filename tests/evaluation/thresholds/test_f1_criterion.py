"""F1 at thresholds as a criterion: what it sees, and what it does not."""

import numpy as np
import pytest

from bacl.evaluation.choice import Choice
from bacl.evaluation.thresholds.f1_criterion import F1AtThresholds
from tests.evaluation.samples import IMAGES, sample, share


def test_right_detections_with_any_score_are_worth_the_same():
    right = share(IMAGES)
    assert F1AtThresholds().value(sample(right, 0.9)) == 1
    assert F1AtThresholds().value(sample(right, 0.01)) == 1
    assert F1AtThresholds().of_groups(sample(right)) == {"r": 1, "c": 1, "f": 1}


def test_the_better_variant_is_chosen_and_its_error_is_of_equal_resamples():
    draw = np.random.default_rng(0)
    samples = {"a": sample(draw.random(IMAGES) < 0.3), "b": sample(share(IMAGES))}
    choice = Choice(samples, F1AtThresholds(), "a")
    assert choice.decision.chosen == "b"
    assert 0 < choice.decision.error < 0.2
    assert choice.criterion.error(samples["a"], samples["a"]) == 0


def test_without_objects_there_is_no_value():
    nothing = sample(share(IMAGES)).only(np.zeros(0, np.int64))
    assert F1AtThresholds().value(nothing) == -1
    one = sample(share(IMAGES)).only(np.array([100]))
    assert F1AtThresholds().of_groups(one) == {"r": pytest.approx(0, abs=1), "c": -1, "f": -1}
