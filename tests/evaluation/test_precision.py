import numpy as np
import pytest

from bacl.evaluation.precision import RECALLS, _reached, accumulate

EVERY = np.uint64((1 << 40) - 1)


def words(flags):
    return np.where(np.array(flags, bool), EVERY, np.uint64(0))


def curves(labels, right, num_objects, wrong=None):
    right = np.array(right, bool)
    wrong = ~right if wrong is None else wrong
    objects = np.repeat(np.array(num_objects)[:, None], 4, axis=1)
    return accumulate(np.array(labels, int), words(right), words(wrong), objects)


def test_by_hand():
    # Category 0: right, wrong, right, of 4 objects; precisions 1 and 2/3 at recalls 1/4 and 1/2.
    found = curves([0, 0, 0, 2], [1, 0, 1, 0], [4, 0, 1])
    expected = np.where(RECALLS <= 0.25, 1, np.where(RECALLS <= 0.5, 2 / 3, 0))
    np.testing.assert_allclose(found.precision[3, :, 0, 2], expected, atol=1e-12)
    assert (found.precision[:, :, 1] == -1).all()
    assert (found.precision[:, :, 2] == 0).all()
    assert found.recall[0, :, 0].tolist() == [0.5, -1, 0]
    assert found.average_precision() == pytest.approx(expected.mean() / 2)
    assert found.average_precision(np.array([True, True, False])) == pytest.approx(expected.mean())
    assert found.average_precision(np.array([False, True, False])) == -1
    assert found.average_recall() == pytest.approx(0.25)


def test_precision_is_the_best_from_a_recall_on():
    found = curves([0] * 4, [0, 1, 1, 1], [3])
    assert found.precision[0, :, 0, 0] == pytest.approx(np.full(101, 0.75))


def test_ignored_detections_change_nothing():
    plain = curves([0, 0], [1, 1], [2])
    padded = curves([0] * 4, [0, 1, 0, 1], [2], wrong=[0, 0, 0, 0])
    assert np.array_equal(plain.precision, padded.precision)


def test_conditions_are_apart():
    one = np.uint64(1 << (2 * 10 + 7))  # medium, IoU 0.85
    found = accumulate(
        np.array([0]), np.array([one]), np.array([0], np.uint64), np.ones((1, 4), int)
    )
    assert np.argwhere(found.recall == 1).tolist() == [[7, 0, 2]]
    assert found.average_precision(iou=0.85, area="medium") == pytest.approx(1)
    assert found.average_precision(iou=0.5, area="medium") == 0


def test_no_detections():
    found = curves([], [], [2, 0])
    assert (found.precision[:, :, 0] == 0).all()
    assert (found.recall[:, 1] == -1).all()


def test_the_recall_that_is_reached_is_the_highest_not_above():
    recalls = np.concatenate([np.arange(1, n + 1) / n for n in range(1, 300)])
    recalls = np.concatenate([recalls, RECALLS, np.nextafter(RECALLS, 0), np.nextafter(RECALLS, 2)])
    expected = np.searchsorted(RECALLS, recalls, side="right") - 1
    assert np.array_equal(_reached(recalls), expected)
    assert _reached(np.array([1.5, np.inf])).tolist() == [100, 100]
