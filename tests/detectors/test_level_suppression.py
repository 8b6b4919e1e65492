"""All levels of all images at once are suppressed as each level by torchvision's operator."""

import numpy as np
import pytest
import torch
from torchvision.ops import nms

from bacl.detectors import level_suppression, proposals
from bacl.detectors.boxes import BoxCoder
from bacl.detectors.class_suppression import greatest_tolerated
from bacl.detectors.level_suppression import side_by_side, survivors_of_groups
from bacl.detectors.proposals import ProposalSelection

LEVELS = (70, 40, 7, 1, 0)


def whole_boxes(*shape: int) -> torch.Tensor:
    """Of few whole numbers: many overlap alike, by just the limit, or have no area."""
    corner = torch.randint(6, (*shape, 2)).float()
    return torch.cat((corner, corner + torch.randint(11, (*shape, 2))), dim=-1)


@pytest.fixture
def every_way(monkeypatch):
    """What a selection gives level by level, and of all levels at once."""

    def select(selection: ProposalSelection, *arguments):
        found = []
        monkeypatch.setattr(proposals, "MANY", 0)
        for alone in (("cpu",), ()):
            monkeypatch.setattr(proposals, "ALONE_ON", alone)
            found.append(selection(*arguments))
        return found

    return select


@pytest.mark.parametrize("iou", [0.3, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("pairs", [1, 10**9])
def test_each_group_keeps_what_torchvisions_operator_keeps(iou, pairs, monkeypatch):
    monkeypatch.setattr(level_suppression, "PAIRS", pairs)
    boxes, there = whole_boxes(5, 60), torch.ones(5, 60, dtype=torch.bool)
    there[1, 50:], there[2] = False, False
    kept = survivors_of_groups(boxes, there, greatest_tolerated(iou))
    for own, is_box, found in zip(boxes, there, kept, strict=True):
        rows = is_box.nonzero().squeeze(1)
        scores = torch.arange(len(rows), 0, -1).float()
        assert found.nonzero().squeeze(1).tolist() == rows[nms(own[rows], scores, iou)].tolist()


def test_a_chain_of_any_length_is_followed_to_its_end():
    shift = torch.arange(40.0)
    boxes = torch.stack((shift, 0 * shift, shift + 4, 0 * shift + 1), dim=1).unsqueeze(0)
    # Each overlaps the next by 3 / 5, and the one after it by 2 / 6.
    kept = survivors_of_groups(boxes, torch.ones(1, 40, dtype=torch.bool), 0.5)
    assert kept[0].tolist() == [True, False] * 20


def test_places_of_levels_and_the_way_back():
    places, back = side_by_side([2, 0, 3])
    assert places.tolist() == [[0, 1, -1], [-1, -1, -1], [2, 3, 4]]
    assert back.tolist() == [0, 1, 6, 7, 8]
    assert np.arange(9).reshape(3, 3).flatten()[back].tolist() == [0, 1, 6, 7, 8]


@pytest.mark.parametrize("min_side", [0, 4])
@pytest.mark.parametrize("iou", [0.3, 0.7])  # the former lies below its float32
@pytest.mark.parametrize(("per_level", "total"), [(1000, 1000), (30, 20)])
def test_selections_are_equal_to_the_bit_ties_included(every_way, per_level, total, min_side, iou):
    images = 3
    anchors = whole_boxes(sum(LEVELS)) + torch.tensor([0.0, 0, 1, 1])
    objectness = [torch.randint(4, (images, number)).float() for number in LEVELS]
    deltas = [torch.randint(3, (images, number, 4)) / 8 for number in LEVELS]
    selection = ProposalSelection(per_level, total, iou, min_side)
    sizes = [(14, 17)] * images
    arguments = anchors, objectness, deltas, BoxCoder((1, 1, 1, 1)), sizes
    alone, together = every_way(selection, *arguments)
    for own, other in zip(alone, together, strict=True):
        assert 0 < len(own[0]) < sum(LEVELS)
        assert torch.equal(own[0], other[0])
        assert torch.equal(own[1], other[1])


def test_images_without_positions_or_boxes(every_way):
    selection, coder = ProposalSelection(10, 10, 0.7, min_side=50), BoxCoder((1, 1, 1, 1))
    for number in (0, 4):
        objectness, deltas = [torch.zeros(2, number)], [torch.zeros(2, number, 4)]
        boxes = torch.ones(number, 4) * torch.tensor([0.0, 0, 9, 9])
        for found in every_way(selection, boxes, objectness, deltas, coder, [(9, 9)] * 2):
            assert [len(own) for own, _ in found] == [0, 0]


def test_diverged_training_is_named(every_way):
    nan, coder = [torch.full((2, 3, 4), torch.nan)], BoxCoder((1, 1, 1, 1))
    arguments = torch.ones(3, 4), [torch.zeros(2, 3)], nan, coder, [(9, 9)] * 2
    with pytest.raises(FloatingPointError, match="lower the learning rate"):
        every_way(ProposalSelection(10, 10, 0.7), *arguments)


def test_few_levels_are_suppressed_one_by_one_and_on_a_cpu_all_are(monkeypatch):
    selection, boxes = ProposalSelection(10, 10, 0.7), torch.zeros(6, 10, 4)
    assert not selection.together(boxes, 5)
    monkeypatch.setattr(proposals, "ALONE_ON", ())
    assert selection.together(boxes, 5)
    assert not selection.together(boxes[:5], 5)
    assert not selection.together(boxes[:, :0], 5)
