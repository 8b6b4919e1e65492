import pytest
import torch

from bacl.detectors.boxes import BoxCoder
from bacl.detectors.proposals import ProposalSelection

CODER = BoxCoder((1, 1, 1, 1))
ANCHORS = [
    torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]]),
    torch.tensor([[0.0, 0, 10, 10], [25, 25, 45, 45]]),
]
OBJECTNESS = [torch.tensor([[1.0, 3.0, 0.0]]), torch.tensor([[2.0, 5.0]])]
DELTAS = [torch.zeros(1, 3, 4), torch.zeros(1, 2, 4)]


def select(per_level, total):
    selection = ProposalSelection(per_level, total, nms_iou=0.7)
    return selection(ANCHORS, OBJECTNESS, DELTAS, CODER, [(40, 35)])[0]


def test_levels_are_suppressed_apart_and_merged_by_score():
    boxes, scores = select(10, 10)
    # Of the first two anchors only the better stays; the same box on the other level stays too.
    assert boxes.tolist() == [[25, 25, 35, 40], [0, 0, 10, 9], [0, 0, 10, 10], [20, 20, 30, 30]]
    assert scores.tolist() == [5, 3, 2, 0]


@pytest.mark.parametrize(("per_level", "total", "scores"), [(1, 10, [5, 3]), (10, 2, [5, 3])])
def test_limits(per_level, total, scores):
    assert select(per_level, total)[1].tolist() == scores


def test_feature_maps_without_positions():
    selection = ProposalSelection(10, 10, 0.7)
    empty = torch.zeros(2, 0)
    sizes = [(5, 5)] * 2
    results = selection([torch.zeros(0, 4)], [empty], [torch.zeros(2, 0, 4)], CODER, sizes)
    assert [boxes.shape for boxes, _ in results] == [(0, 4)] * 2


def test_diverged_training_is_named():
    selection = ProposalSelection(10, 10, 0.7)
    broken = [torch.full_like(DELTAS[0], torch.nan), DELTAS[1]]
    with pytest.raises(FloatingPointError, match="lower the learning rate"):
        selection(ANCHORS, OBJECTNESS, broken, CODER, [(40, 35)])
