import functools
import time
from dataclasses import replace

import pytest
import torch
from torch import nn

from bacl.data.batch import Detections
from bacl.detectors.any_detector import ImageRegions
from bacl.speed.image_times import Subject, synthetic_probabilities, time_images
from tests.levels import level

THRESHOLD = 1e-4


@pytest.fixture(scope="module")
def proposals() -> torch.Tensor:
    corners = torch.rand(200, 2, generator=torch.Generator().manual_seed(0)) * 500
    return torch.cat((corners, corners + 40), 1)


@pytest.mark.parametrize("candidates", [1, 500, 3000, 200 * 30])
def test_as_many_candidates_as_asked(proposals, candidates):
    scores = synthetic_probabilities(proposals, 30, candidates, THRESHOLD, seed=0)
    assert scores.shape == (200, 31)
    assert scores.dtype == torch.float32
    assert ((scores >= 0) & (scores <= 1)).all()
    above = int((scores[:, :-1] > THRESHOLD).sum())
    assert candidates <= above <= candidates + 2


def test_more_candidates_than_there_are_classes_and_proposals(proposals):
    scores = synthetic_probabilities(proposals[:3], 4, 1000, THRESHOLD, seed=0)
    assert (scores[:, :-1] > THRESHOLD).all()


def test_neighbours_score_alike(proposals):
    near = torch.cat((proposals[:1], proposals[:1] + 1, proposals[1:]))
    scores = synthetic_probabilities(near, 5000, 10_000, THRESHOLD, seed=1)[:, :-1].logit()
    together = torch.corrcoef(scores[:2])[0, 1]
    assert together > 0.7  # variances 4 in common, 1 each


def test_the_seed_decides(proposals):
    draw = functools.partial(synthetic_probabilities, proposals, 5, 100, THRESHOLD)
    assert torch.equal(draw(seed=1), draw(seed=1))
    assert not torch.equal(draw(seed=1), draw(seed=2))


class Slow(nn.Module):
    """Stands for a detector whose parts sleep for known times."""

    class postprocess:
        score_threshold = THRESHOLD

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def pyramid(self, pixels):
        time.sleep(0.01)
        return (pixels,)

    def inference_regions(self, pyramid, sizes):
        assert sizes == [(30, 40)]
        time.sleep(0.02)
        boxes = torch.tensor([[0.0, 0, 10, 10], [5, 5, 20, 20]])
        own = replace(level(torch.zeros(2, 4)), boxes=[boxes])
        return [ImageRegions([own], torch.zeros(2, 12))]

    def detect(self, regions, probabilities, size):
        time.sleep(0.03)
        self.seen.append(int((probabilities[:, :-1] > THRESHOLD).sum()))
        return Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))


class Head(nn.Module):
    def scores(self, levels):
        return torch.tensor([[0.5, 0.0, 0.0, 0.5]]).expand(len(levels[-1].features), 4)


def images(count):
    return [(torch.zeros(1, 3, 32, 64), (30, 40))] * count


def test_the_time_is_split_and_subjects_take_turns():
    detector = Slow()
    subjects = {"own": Subject(Head()), "synthetic": Subject(Head(), candidates=5)}
    times = time_images(detector, subjects, images(5), warm_up=2)
    assert detector.seen == [2, 5] * 5
    for times_of in times.values():
        assert times_of.images == 3
        parts = (times_of.extractor, times_of.rois, times_of.postprocess)
        for seconds, slept in zip(parts, (0.01, 0.02, 0.03), strict=True):
            assert slept <= seconds < slept + 0.1  # loaded machines sleep longer
        assert times_of.total == pytest.approx(sum(parts), abs=0.1)
        assert times_of.images_per_second == 1 / times_of.total
    assert (times["own"].candidates, times["synthetic"].candidates) == (2, 5)


def test_another_clock():
    seconds = iter(range(100))
    (times,) = time_images(
        Slow(), {"own": Subject(Head())}, images(2), warm_up=1, clock=lambda: next(seconds)
    ).values()
    assert (times.extractor, times.rois, times.postprocess, times.total) == (1, 1, 1, 3)


def test_nothing_but_warm_up_is_refused():
    with pytest.raises(ValueError, match="no more images than the 2 to warm up"):
        time_images(Slow(), {"own": Subject(Head())}, images(2), warm_up=2)
