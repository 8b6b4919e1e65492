"""What the focal losses do beyond the common contract."""

import pytest
import torch
from torchvision.ops import sigmoid_focal_loss

from bacl.losses import EFL, BinaryCrossEntropy, Focal

C = 3


def build() -> EFL:
    return EFL(C, 0.001, gamma=2.0, scale=8.0, alpha=0.25)


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.25), (0.5, 0.9), (0.0, 0.5)])
def test_focal_loss_is_torchvisions(gamma, alpha):
    logits, labels = 3 * torch.randn(8, C), torch.tensor([0, 1, 2, 3, 3, 0, 1, 3])
    targets = torch.eye(C + 1)[labels, :C]
    expected = sigmoid_focal_loss(logits, targets, alpha, gamma, reduction="sum") / 8
    torch.testing.assert_close(Focal(C, 0.01, gamma, alpha)(logits, labels), expected)


def test_without_focus_it_is_half_of_cross_entropy():
    logits, labels = torch.randn(8, C), torch.tensor([0, 1, 2, 3, 3, 0, 1, 3])
    expected = BinaryCrossEntropy(C, 0.01)(logits, labels) / 2
    torch.testing.assert_close(Focal(C, 0.01, gamma=0, alpha=0.5)(logits, labels), expected)


def test_the_first_step_of_efl_is_focal_loss():
    logits, labels = torch.randn(8, C), torch.tensor([0, 1, 2, 3, 3, 0, 1, 3])
    torch.testing.assert_close(build()(logits, labels), Focal(C, 0.01, 2.0, 0.25)(logits, labels))


def test_gathered_gradients_are_those_of_the_loss():
    # With one row per class the gradient of the loss, times the rows, is what is gathered.
    loss = build()
    loss.observe(torch.randn(20, C), torch.randint(C + 1, (20,)))
    before = loss.positive.clone(), loss.negative.clone()
    logits, labels = torch.randn(6, C, requires_grad=True), torch.tensor([0, 1, 2, 3, 3, 0])
    loss(logits, labels).backward()
    loss.observe(logits.detach(), labels)
    sizes = 6 * logits.grad.double()
    gained, suffered = -sizes.clamp(max=0), sizes.clamp(min=0)
    torch.testing.assert_close(loss.positive - before[0], gained.sum(0), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(loss.negative - before[1], suffered.sum(0), rtol=1e-5, atol=1e-6)


def test_exponents_grow_where_a_class_is_suppressed():
    loss = build()
    loss.positive.copy_(torch.tensor([5.0, 1.0, 0.0]))
    loss.negative.copy_(torch.tensor([1.0, 4.0, 3.0]))
    expected = torch.tensor([2.0, 2 + 8 * 0.75, 10.0]).double()
    torch.testing.assert_close(loss.exponents(), expected)
