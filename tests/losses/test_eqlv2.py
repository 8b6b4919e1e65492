"""What EQLv2 does beyond the common contract."""

import torch

from bacl.losses import BinaryCrossEntropyWithObjectness, EQLv2

C = 3


def build(gamma: float = 12.0, mu: float = 0.8, alpha: float = 4.0) -> EQLv2:
    return EQLv2(C, 0.001, gamma, mu, alpha)


def test_the_first_step_is_bce_with_objectness():
    logits, labels = torch.randn(9, C + 1), torch.randint(C + 1, (9,))
    expected = BinaryCrossEntropyWithObjectness(C, 0.001)(logits, labels)
    torch.testing.assert_close(build()(logits, labels), expected)


def test_weights_by_hand():
    loss = build()
    loss.positive.copy_(torch.tensor([8.0, 0.0, 80.0]))
    loss.negative.copy_(torch.tensor([10.0, 7.0, 10.0]))
    positive, negative = loss.weights()
    # Ratios 0.8 (one half), 0 (nearly none of the negative gradient) and 8 (all of it).
    tail = torch.sigmoid(torch.tensor(-9.6, dtype=torch.float64)).item()
    expected = torch.tensor([0.5, tail, 1.0, 1.0]).double()
    torch.testing.assert_close(negative, expected, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(positive, 5 - 4 * negative)
    assert positive[C] == negative[C] == 1


def test_gathered_gradients_are_those_of_the_loss():
    # With one row per class the gradient of the loss, times the rows, is what is gathered.
    loss = build()
    loss.observe(torch.randn(20, C + 1), torch.randint(C + 1, (20,)))
    before = loss.positive.clone(), loss.negative.clone()
    logits, labels = torch.randn(6, C + 1, requires_grad=True), torch.tensor([0, 1, 2, 3, 3, 0])
    loss(logits, labels).backward()
    loss.observe(logits.detach(), labels)
    sizes = 6 * logits.grad.double()
    gained, suffered = -sizes.clamp(max=0), sizes.clamp(min=0)
    torch.testing.assert_close(loss.positive - before[0], gained.sum(0)[:C], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(loss.negative - before[1], suffered.sum(0)[:C], rtol=1e-5, atol=1e-6)


def test_a_suppressed_class_is_suppressed_less_and_lifted_more():
    loss = build()
    # Class 0 has rows of its own, class 2 none: all its gradients are negative.
    for _ in range(3):
        loss.observe(torch.zeros(8, C + 1), torch.tensor([0, 0, 0, 0, 0, 1, 1, 3]))
    logits = torch.zeros(2, C + 1, requires_grad=True)
    loss(logits, torch.tensor([1, 2])).backward()
    assert logits.grad[0, 2] < 0.01 * logits.grad[0, 0]
    assert logits.grad[1, 2] < -2 * 0.25
