import math

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from bacl.data.batch import Detections
from bacl.export.detection_agreement import Agreement, Tolerance, agreement

LIMITS = Tolerance(box=0.5, score=1e-3, unmatched=0.1, mask=0.01)


def found(*rows, masks=None):
    """Detections of rows (x1, y1, x2, y2, score, label)."""
    values = torch.tensor(rows, dtype=torch.float32).view(-1, 6)
    return Detections(values[:, :4], values[:, 4], values[:, 5].long(), masks)


def test_differences_are_those_of_pairs_in_any_order():
    mine = found((0, 0, 10, 10, 0.9, 1), (20, 0, 30, 10, 0.5, 2), (0, 0, 10, 10, 0.4, 3))
    theirs = found((20, 0, 30.25, 10, 0.5, 2), (0, 0, 10, 10, 0.9 + 2**-10, 1))
    result = agreement([mine], [theirs])
    counts = result.pictures, result.expected, result.found, result.matched
    assert counts == (1, 3, 2, 2)
    assert result.box == 0.25
    assert result.score == pytest.approx(2**-10, rel=1e-3)
    assert result.unmatched == 1 / 5


def test_another_label_a_far_box_and_a_second_one_are_no_counterparts():
    mine = found((0, 0, 10, 10, 0.9, 1))
    assert agreement([mine], [found((0, 0, 10, 10, 0.9, 2))]).matched == 0
    assert agreement([mine], [found((0, 2, 10, 12, 0.9, 1))]).matched == 0
    twice = found((0, 0, 10, 10, 0.9, 1), (0, 0, 10, 10, 0.9, 1))
    assert agreement([twice], [mine]).matched == 1


def test_of_several_alike_the_one_of_the_same_score_is_taken():
    mine = found((0, 0, 10, 10, 0.9, 1), (0, 0, 10, 10, 0.4, 1))
    theirs = found((0, 0, 10, 10, 0.4, 1), (0, 0, 10, 10, 0.9, 1))
    assert agreement([mine], [theirs]).score == 0


def test_empty_boxes_stand_for_each_other():
    mine, theirs = found((5, 5, 5, 9, 0.2, 1)), found((7, 0, 9, 0, 0.2, 1))
    result = agreement([mine], [theirs])
    assert (result.matched, result.box) == (1, 0)
    assert agreement([mine], [found((5, 5, 6, 9, 0.2, 1))]).matched == 0


def test_nothing_agrees_with_nothing():
    result = agreement([found()], [found()])
    assert (result.expected, result.unmatched, result.problems(LIMITS)) == (0, 0, [])
    assert agreement([found()], [found((0, 0, 1, 1, 0.5, 0))]).unmatched == 1


def test_pixels_of_masks_are_counted():
    def encoded(columns):
        picture = np.zeros((4, 10), np.uint8, order="F")
        picture[:, columns] = 1
        return coco_mask.encode(picture)

    row = 0, 0, 10, 4, 0.9, 1
    mine, theirs = (found(row, masks=[encoded(x)]) for x in (slice(0, 8), slice(1, 10)))
    result = agreement([mine], [theirs])
    assert (result.mask_pixels, result.mask_differing) == (40, 12)
    assert result.mask == 0.3
    (told,) = result.problems(LIMITS)
    assert told == "0.3 of the masks' pixels (tolerated: 0.01)"


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (Agreement(1, 9, 9, 9, box=0.6), "boxes by 0.6 pixels"),
        (Agreement(1, 9, 9, 9, score=0.002), "scores by 0.002"),
        (Agreement(1, 10, 10, 8), "0.2 of the detections"),
        (Agreement(1, 9, 9, 9, score=math.nan), "scores by nan"),
    ],
)
def test_what_is_not_tolerated_is_told(result, told):
    (problem,) = result.problems(LIMITS)
    assert problem.startswith(told)
    assert Agreement(1, 10, 10, 9, box=0.5, score=1e-3).problems(LIMITS) == []
