"""What a sample says, and what it keeps."""

from dataclasses import replace

import numpy as np
import pytest

from bacl.evaluation.judging import Judgement
from bacl.evaluation.thresholds.f1_criterion import F1AtThresholds
from bacl.evaluation.thresholds.objectives import BestF1
from bacl.evaluation.thresholds.scored import Scored
from tests.evaluation.samples import IMAGES, sample, share


def test_numbers_are_kept_and_what_was_judged_is_not():
    """There are as many samples as variants, and a judgement is as large as their detections."""
    one = sample(share(IMAGES), scores=0.9)
    assert one.measures["AP50"] == pytest.approx(1)
    assert one.reliabilities["all"].error == pytest.approx(0.1)
    assert F1AtThresholds(BestF1()).value(one) == 1
    assert one.measures is one.measures
    assert not any(isinstance(each, Judgement | Scored) for each in vars(one).values())


def test_of_a_part_right_labels_are_as_if_it_were_looked_at_alone():
    right = np.random.default_rng(0).random(IMAGES) < 0.5
    whole, ids = sample(right), np.arange(103, 120)
    part, alone = whole.only(ids), replace(whole, detections=whole.only(ids).detections)
    for name in ("images", "labels", "right", "judged", "scores"):
        own, expected = (getattr(each.right_labels, name) for each in (part, alone))
        assert np.array_equal(own, expected), name
    assert part.only(ids[:5]).right_labels.share() == pytest.approx(right[3:8].mean())


def test_what_was_found_before_is_not_of_a_part_of_the_images():
    right = sample(share(IMAGES))
    known = replace(sample(share(0)), known_labels=right.right_labels, known_numbers=right._numbers)
    assert known.measures is right.measures
    assert known.right_labels is right.right_labels
    assert known.only(np.arange(100, 110)).measures["AP"] == 0
