import pytest
import torch

from bacl.detectors.rpn_head import RPNHead
from bacl.detectors.transfers import Awaited

SHAPES = [(6, 7), (3, 4), (2, 2), (1, 1)]
ANCHORS = 3


@pytest.fixture(params=[torch.contiguous_format, torch.channels_last])
def case(request):
    head = RPNHead(5, 8, ANCHORS).double()
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter)
    levels = [torch.randn(2, 5, *shape, dtype=torch.float64) for shape in SHAPES]
    pyramid = [x.contiguous(memory_format=request.param).requires_grad_() for x in levels]
    count = sum(height * width for height, width in SHAPES) * ANCHORS
    # Every anchor, so that all borders are met, in random order, and some twice.
    anchors = torch.cat((torch.randperm(count), torch.randint(count, (9,))))
    return head, pyramid, torch.randint(2, anchors.shape), anchors


def chosen(head, pyramid, images, anchors):
    shapes = [(level.shape[2], level.shape[3]) for level in pyramid]
    return head.at(pyramid, head.find(shapes, images, anchors, Awaited()), len(anchors))


def dense(head, pyramid, images, anchors):
    logits, deltas = zip(*(head(x) for x in pyramid), strict=True)
    return torch.cat(logits, 1)[images, anchors], torch.cat(deltas, 1)[images, anchors]


def test_chosen_anchors_equal_the_dense_outputs_and_their_gradients(case):
    head, pyramid, images, anchors = case
    inputs = [*head.parameters(), *pyramid]
    results = []
    for outputs in (chosen(head, pyramid, images, anchors), dense(head, pyramid, images, anchors)):
        weights = torch.linspace(-1, 1, len(anchors), dtype=torch.float64)
        loss = (outputs[0] * weights).sum() + (outputs[1] * weights.unsqueeze(1)).square().sum()
        results.append([*outputs, *torch.autograd.grad(loss, inputs)])
    for sparse, full in zip(*results, strict=True):
        torch.testing.assert_close(sparse, full, rtol=1e-10, atol=1e-10)


def test_no_anchor_chosen_leaves_a_graph(case):
    head, pyramid, images, anchors = case
    logits, deltas = chosen(head, pyramid, images[:0], anchors[:0])
    assert logits.shape == (0,)
    (logits.sum() + deltas.sum()).backward()
    assert not head.conv.weight.grad.any()


def test_dense_order_is_position_then_anchor():
    head = RPNHead(1, 1, 2)
    torch.nn.init.zeros_(head.deltas.weight)
    head.deltas.bias.data = torch.arange(8.0)
    logits, deltas = head(torch.zeros(1, 1, 2, 2))
    assert logits.shape == (1, 8)
    assert deltas[0, :2].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert torch.equal(deltas[0, 2:4], deltas[0, :2])
