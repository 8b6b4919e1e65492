import pytest
import torch
from torchvision.ops import nms

from bacl.detectors.boxes import BoxCoder, clip_boxes
from bacl.detectors.proposals import ProposalSelection
from bacl.detectors.transfers import Awaited

CODER = BoxCoder((1, 1, 1, 1))
ANCHORS = torch.tensor(
    [[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30], [0, 0, 10, 10], [25, 25, 45, 45]]
)
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
    results = selection(torch.zeros(0, 4), [empty], [torch.zeros(2, 0, 4)], CODER, sizes)
    assert [boxes.shape for boxes, _ in results] == [(0, 4)] * 2


def test_diverged_training_is_named():
    selection = ProposalSelection(10, 10, 0.7)
    broken = [torch.full_like(DELTAS[0], torch.nan), DELTAS[1]]
    with pytest.raises(FloatingPointError, match="lower the learning rate"):
        selection(ANCHORS, OBJECTNESS, broken, CODER, [(40, 35)])


@pytest.mark.parametrize("broken", [torch.nan, torch.inf, -torch.inf])
def test_others_fetch_what_says_that_it_diverged(broken):
    awaited = Awaited()
    objectness = [OBJECTNESS[0], torch.tensor([[2.0, broken]])]
    ProposalSelection(10, 10, 0.7)(ANCHORS, objectness, DELTAS, CODER, [(40, 35)], None, awaited)
    with pytest.raises(FloatingPointError, match="lower the learning rate"):
        awaited.later(torch.tensor([3]))()


def one_by_one(anchors, objectness, deltas, size, limits):
    """One image's proposals by torchvision, level by level."""
    per_level, total, iou = limits
    boxes, scores = [], []
    for level, (logits, shift) in enumerate(zip(objectness, deltas, strict=True)):
        order = logits.argsort(descending=True)[:per_level]
        moved = clip_boxes(CODER.decode(shift[order], anchors[level][order]), size)
        keep = nms(moved, logits[order], iou)
        boxes.append(moved[keep])
        scores.append(logits[order][keep])
    best = torch.cat(scores).argsort(descending=True)[:total]
    return torch.cat(boxes)[best], torch.cat(scores)[best]


@pytest.mark.parametrize("limits", [(7, 10, 0.7), (100, 25, 0.5), (3, 100, 0.3)])
def test_a_batch_gives_what_each_image_and_level_alone_gives(limits):
    counts, sizes = (60, 20, 5), [(50, 40), (33, 64), (64, 64)]
    corners = [torch.rand(count, 2) * 50 for count in counts]
    anchors = [
        torch.cat((corner, corner + 5 + 20 * torch.rand(len(corner), 2)), 1) for corner in corners
    ]
    objectness = [torch.randn(3, count) for count in counts]
    deltas = [0.3 * torch.randn(3, count, 4) for count in counts]
    found = ProposalSelection(*limits)(torch.cat(anchors), objectness, deltas, CODER, sizes)
    for image, size in enumerate(sizes):
        own = [level[image] for level in objectness], [level[image] for level in deltas]
        expected = one_by_one(anchors, *own, size, limits)
        assert all(map(torch.equal, found[image], expected))
