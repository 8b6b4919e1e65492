"""Proposals suppressed by group of categories, against a plain loop."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from bacl.data.batch import Target
from bacl.detectors.boxes import BoxCoder, pairwise_iou
from bacl.detectors.grouped_selection import GroupedSelection
from bacl.detectors.proposals import ProposalSelection

CODER = BoxCoder((1, 1, 1, 1))
LIMITS = {"r": 0.9, "c": 0.8, "f": 0.7, "": 0.6}
FREQUENCY = ["f", "r", "c"]


def selection(**limits: float) -> GroupedSelection:
    options = {"rare": 0.9, "common": 0.8, "frequent": 0.7, "overlap": 0.3} | limits
    statistics = SimpleNamespace(frequency=FREQUENCY)
    return GroupedSelection(300, 300, 0.6, statistics=statistics, **options)


def target(boxes: Tensor, labels: list[int]) -> Target:
    none, size = torch.zeros(0, dtype=torch.int64), (100, 100)
    return Target(0, boxes, torch.tensor(labels, dtype=torch.int64), size, size, size, none, none)


def around(objects: Tensor, count: int) -> Tensor:
    jitter = 6 * torch.randn(count, len(objects), 4)
    boxes = (objects + jitter).flatten(0, 1)
    return torch.cat((boxes[:, :2], torch.maximum(boxes[:, 2:], boxes[:, :2] + 1)), dim=1)


OBJECTS = torch.tensor([[5.0, 5, 45, 45], [50, 10, 90, 60], [20, 55, 60, 95]])


def select(own, anchors: Tensor, scores: Tensor, targets: list[Target]) -> tuple[Tensor, Tensor]:
    deltas = torch.zeros(1, len(anchors), 4)
    return own(anchors, [scores.unsqueeze(0)], [deltas], CODER, [(100, 100)], targets)[0]


def plain(boxes: Tensor, scores: Tensor, truth: Target) -> list[int]:
    def group(box: Tensor) -> str:
        overlaps = pairwise_iou(truth.boxes, box[None])[:, 0].tolist()
        best = max(range(len(overlaps)), key=overlaps.__getitem__)
        return FREQUENCY[int(truth.labels[best])] if overlaps[best] >= 0.3 else ""

    kept: list[int] = []
    for row in scores.argsort(descending=True).tolist():
        own = group(boxes[row])
        rivals = [other for other in kept if group(boxes[other]) == own]
        if all(pairwise_iou(boxes[[row]], boxes[[r]])[0, 0] <= LIMITS[own] for r in rivals):
            kept.append(row)
    return kept


def test_each_group_is_suppressed_by_itself_at_its_own_overlap():
    anchors = torch.cat((around(OBJECTS, 25), around(torch.tensor([[70.0, 70, 99, 99]]), 20)))
    scores, truth = torch.rand(len(anchors)), target(OBJECTS, [0, 1, 2])
    boxes, found = select(selection(), anchors.clamp(0, 100), scores, [truth])
    kept = plain(anchors.clamp(0, 100), scores, truth)
    torch.testing.assert_close(found, scores[kept])
    torch.testing.assert_close(boxes, anchors.clamp(0, 100)[kept])
    assert len(kept) < len(anchors)


@pytest.mark.parametrize("targets", [None, [target(torch.zeros(0, 4), [])]])
def test_without_objects_it_is_the_plain_selection(targets):
    anchors, scores = around(OBJECTS, 25).clamp(0, 100), torch.rand(75)
    found = select(selection(), anchors, scores, targets)
    expected = select(ProposalSelection(300, 300, 0.6), anchors, scores, targets)
    assert all(map(torch.equal, found, expected))


def test_it_is_an_option_of_any_detector_and_adds_nothing_to_its_state(tiny):
    plain_node = tiny("data.num_classes=12").detector.rpn.training
    config = tiny("data.num_classes=12", "+proposals@detector.rpn.training=by_group")
    node = config.detector.rpn.training
    assert (node.rare, node.common, node.frequent, node.overlap) == (0.9, 0.8, 0.7, 0.3)
    assert (node.per_level, node.total) == (plain_node.per_level, plain_node.total)
    assert not selection().state_dict()
