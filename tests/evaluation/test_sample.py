"""What a sample says, and what it keeps."""

import pytest

from bacl.evaluation.judging import Judgement
from bacl.evaluation.thresholds.f1_criterion import F1AtThresholds
from bacl.evaluation.thresholds.scored import Scored
from tests.evaluation.samples import IMAGES, sample, share


def test_numbers_are_kept_and_what_was_judged_is_not():
    """There are as many samples as variants, and a judgement is as large as their detections."""
    one = sample(share(IMAGES), scores=0.9)
    assert one.measures["AP50"] == pytest.approx(1)
    assert one.reliabilities["all"].error == pytest.approx(0.1)
    assert F1AtThresholds().value(one) == 1
    assert one.measures is one.measures
    assert not any(isinstance(each, Judgement | Scored) for each in vars(one).values())
