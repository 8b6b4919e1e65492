"""Parts as torchvision's detectors have them, one by one."""

import pytest
import torch
import torchvision
from torch import nn

from bacl.detectors.boxes import BoxCoder
from bacl.detectors.convolutional_box_head import ConvolutionalBoxHead
from bacl.detectors.fpn import FeaturePyramid
from bacl.detectors.norms import FixedNorm
from bacl.detectors.postprocess import Postprocess
from bacl.detectors.proposals import ProposalSelection
from bacl.detectors.roi_pooling import RoIPooling
from bacl.detectors.rpn_head import RPNHead
from bacl.detectors.transfers import Awaited
from bacl.messages.errors import OptionError


@pytest.mark.parametrize("ratio", [0, 2])
def test_pooling_from_corners_of_cells(ratio):
    features = torch.rand(2, 3, 12, 16, requires_grad=True)
    low = torch.rand(9, 2) * 40
    rois = torch.cat((torch.arange(9.0).unsqueeze(1) % 2, low, low + torch.rand(9, 2) * 30), 1)
    rois[0, 3:] = rois[0, 1:3]  # empty: of one cell
    pooling = RoIPooling(5, (4,), 56, ratio, aligned=False)
    expected = torchvision.ops.roi_align(features, rois, 5, 0.25, ratio, aligned=False)
    found = pooling([features], rois)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    weights = torch.rand_like(found)
    gradients = [torch.autograd.grad(x, features, weights)[0] for x in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


def test_pooling_from_levels_that_are_not_there():
    with pytest.raises(OptionError, match=r"pooling.strides=\[4, 8\]: .* have \[32, 32, 64\]"):
        RoIPooling(7, (4, 8), 56).require_strides((32, 32, 64))


def test_boxes_may_shrink_without_limit():
    deltas, box = torch.tensor([[0.0, 0, -6, 6]]), torch.tensor([[0.0, 0, 100, 100]])
    limited, free = (BoxCoder([1.0] * 4, limit).decode(deltas, box) for limit in (True, False))
    sides = [(boxes[0, 2:] - boxes[0, :2]).tolist() for boxes in (limited, free)]
    assert sides[0] == pytest.approx([1.6, 6250])
    assert sides[1] == pytest.approx([100 * torch.tensor(-6.0).exp().item(), 6250], rel=1e-4)


def selection(min_side):
    anchors = torch.tensor([[0.0, 0, 8, 8], [0, 0, 0.5, 8], [0, 0, 0.5, 8.1], [20, 0, 21, 8]])
    found = [torch.tensor([[1.0, 4, 3, 2]])], [torch.zeros(1, 4, 4)], BoxCoder([1.0] * 4)
    ((boxes, _),) = ProposalSelection(9, 9, 0.7, min_side)(anchors, *found, [(64, 64)])
    return boxes[:, 0].tolist(), boxes[:, 2].tolist()


def test_small_proposals_are_none_and_suppress_none():
    assert selection(0.0) == ([0, 20, 0], [0.5, 21, 8])
    assert selection(0.6) == ([20, 0], [21, 8])
    assert selection(100.0) == ([], [])


def test_small_boxes_are_no_detections():
    boxes = torch.tensor([[0.0, 0, 8, 8], [10, 10, 10, 18]])
    scores = torch.tensor([[0.6, 0.4], [0.9, 0.1]])
    for side, left in ((0.0, [10, 0]), (0.01, [0])):
        rule = Postprocess(0.05, 0.5, 10, BoxCoder([1.0] * 4).decode, min_side=side)
        found = rule(boxes, torch.zeros(2, 4), scores, (32, 32))
        assert found.boxes[:, 0].tolist() == left
        assert found.scores.tolist() == pytest.approx([0.9, 0.6][-len(left) :])


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_chosen_anchors_have_what_all_have(layers):
    head = RPNHead(4, 6, 2, layers).double()
    assert len(head.more) == layers - 1
    for parameter in head.parameters():
        nn.init.normal_(parameter, std=0.3)
    pyramid = [torch.rand(2, 4, *shape, dtype=torch.float64) for shape in ((3, 4), (2, 2))]
    pyramid = [x.requires_grad_() for x in pyramid]
    logits, deltas = (torch.cat(x, 1) for x in zip(*map(head, pyramid), strict=True))
    images, anchors = torch.tensor([0, 1, 1, 0]), torch.tensor([3, 31, 0, 25])
    found = head.at(pyramid, head.find([(3, 4), (2, 2)], images, anchors, Awaited()), 4)
    torch.testing.assert_close(found[0], logits[images, anchors])
    torch.testing.assert_close(found[1], deltas[images, anchors])
    wanted = [*pyramid, *head.parameters()]
    dense = logits[images, anchors].sum() + deltas[images, anchors].square().sum()
    chosen = found[0].sum() + found[1].square().sum()
    for one, other in zip(*(torch.autograd.grad(x, wanted) for x in (dense, chosen)), strict=True):
        torch.testing.assert_close(one, other)


def test_a_pyramid_with_norms():
    pyramid = FeaturePyramid([3, 5], 4, FixedNorm)
    assert not any("bias" in name and "norm" not in name for name in pyramid.state_dict())
    maps = [torch.rand(1, 3, 8, 8), torch.rand(1, 5, 4, 4)]
    plain = [x.clone() for x in pyramid(maps)]
    nn.init.constant_(pyramid.output_norms[0].bias, 2.0)
    moved = pyramid(maps)
    torch.testing.assert_close(moved[0], plain[0] + 2)
    torch.testing.assert_close(moved[1], plain[1])
    assert pyramid.strides((4, 8)) == (4, 8, 16)


def test_a_fixed_norm_keeps_its_statistics_and_learns():
    norm = FixedNorm(3, eps=0.0).train()
    norm.running_var.fill_(4.0)
    images = torch.rand(2, 3, 4, 4)
    norm(images).sum().backward()
    torch.testing.assert_close(norm(images), images / 2)
    assert norm.running_mean.abs().sum() == 0
    assert norm.weight.grad.abs().sum() > 0


def test_a_box_head_with_convolutions():
    head = ConvolutionalBoxHead(3, 5, 7, layers=1, convolutions=2, channels=4, norm=FixedNorm)
    pooled = torch.rand(2, 3, 5, 5)
    x = pooled
    for layer in head.convs:  # norms do nothing yet but for their eps
        x = layer(x).relu()
    expected = head.shared_fcs[0](x.flatten(1)).relu()
    torch.testing.assert_close(head(pooled), expected, rtol=1e-3, atol=1e-4)
    assert head(torch.zeros(0, 3, 5, 5)).shape == (0, 7)
