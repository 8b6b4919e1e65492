"""What is taken of an image's detections: by thresholds, and one category for an object."""

import numpy as np
import pytest
import torch

from bacl.data.batch import Detections
from bacl.detectors.acceptance import Acceptance, excess

BOX = [0.0, 0.0, 10.0, 10.0]
BESIDE = [50.0, 0.0, 60.0, 10.0]


def found(*rows) -> Detections:
    boxes, scores, labels = (torch.tensor(column) for column in zip(*rows, strict=True))
    return Detections(boxes, scores, labels, [*range(len(rows))])


def taken(detections, thresholds, iou=None) -> list[int]:
    return Acceptance(torch.tensor(thresholds), iou).rows(detections).tolist()


def test_a_score_is_compared_with_its_categorys_threshold():
    three = found((BOX, 0.9, 0), (BESIDE, 0.5, 0), (BOX, 0.2, 1))
    assert taken(three, [0.6, 0.2]) == [0, 2]
    assert taken(three, [0.0, 0.0]) == [0, 1, 2]
    chosen = Acceptance(torch.tensor([0.6, 0.2]))(three)
    assert chosen.scores.tolist() == pytest.approx([0.9, 0.2])
    assert chosen.masks == [0, 2]


def test_with_one_threshold_the_best_score_has_the_object():
    three = found((BOX, 0.9, 0), (BESIDE, 0.5, 0), (BOX, 0.8, 1))
    assert taken(three, [0.1, 0.1], 0.5) == [0, 1]
    assert taken(three, [0.0, 0.0], 0.5) == [0, 1]


def test_with_a_threshold_for_each_the_one_further_above_its_own_has_the_object():
    three = found((BOX, 0.9, 0), (BESIDE, 0.5, 0), (BOX, 0.3, 1))
    assert taken(three, [0.8, 0.01], 0.5) == [2]
    assert taken(three, [0.4, 0.01], 0.5) == [1, 2]
    # odds of 9 over 4, and of 3/7 over 3/7: the frequent one
    assert taken(three, [0.8, 0.3], 0.5) == [0]


def test_what_is_not_taken_suppresses_nothing():
    assert taken(found((BOX, 0.9, 0), (BOX, 0.3, 1)), [0.95, 0.2], 0.5) == [1]


def test_an_overlap_at_the_iou_is_tolerated_and_a_larger_one_is_not():
    half = found((BOX, 0.9, 0), ([0.0, 0.0, 10.0, 5.0], 0.8, 1))
    assert taken(half, [0.1, 0.1], 0.5) == [0, 1]
    assert taken(half, [0.1, 0.1], 0.49) == [0]


def test_nothing_is_no_error():
    nothing = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    chosen = Acceptance(torch.tensor([0.5]), 0.5)(nothing)
    assert len(chosen.scores) == 0
    assert chosen.masks is None


def test_odds_by_hand_and_scores_of_0_and_1_are_finite():
    scores, limits = torch.tensor([0.5, 0.8, 1.0, 0.0]), torch.tensor([0.5, 0.5, 0.5, 0.0])
    values = excess(scores, limits)
    assert values[:2].tolist() == pytest.approx([0.0, np.log(4)], abs=1e-6)
    assert torch.isfinite(values).all()
