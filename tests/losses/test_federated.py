"""What the federated loss does beyond the common contract."""

from types import SimpleNamespace

import pytest
import torch

from bacl.losses import FederatedLoss

C = 6
COUNTS = SimpleNamespace(image_counts=[400, 100, 25, 4, 1, 0])  # roots 20, 10, 5, 2, 1, 0


def build(classes: int, power: float = 0.5) -> FederatedLoss:
    return FederatedLoss(C, 0.01, classes, power, COUNTS, seed=0)


def kept(loss: FederatedLoss, *labels: int) -> torch.Tensor:
    return loss.kept(torch.tensor(labels, dtype=torch.int64), torch.rand(C))


@pytest.mark.parametrize(
    ("labels", "classes", "judged"),
    [
        ((5, 5, 3), 3, 3),
        ((5, 3, C), 4, 3),  # background is one of four
        ((0, 1, 2, 3), 2, 4),  # the present ones are judged, however many
        ((C,), 1, 0),
        ((0,), 50, 5),  # all that occur in the annotations
        ((5,), 50, 6),
        ((), 2, 2),
    ],
)
def test_the_present_classes_are_filled_up_with_drawn_ones(labels, classes, judged):
    for _ in range(20):
        found = kept(build(classes), *labels)
        assert found.sum() == judged
        assert all(found[label] for label in labels if label < C)
        assert found[5] == (5 in labels)


def test_classes_are_drawn_by_the_power_of_their_images():
    loss = build(2)
    times = sum(kept(loss, 0).double() for _ in range(6000)) / 6000
    expected = torch.tensor([18.0, 10, 5, 2, 1, 0]).double() / 18
    torch.testing.assert_close(times, expected, rtol=0, atol=0.03)
    assert build(2, power=0).weights.tolist() == [1, 1, 1, 1, 1, 0]


def test_without_replacement_the_second_draw_is_among_the_rest():
    loss = build(2)
    pairs = [kept(loss)[:2].all() for _ in range(6000)]
    # 20/38 · 10/18 + 10/38 · 20/28, by hand.
    assert sum(pairs) / 6000 == pytest.approx(0.4804, abs=0.03)


def test_a_step_keeps_its_classes_until_it_is_observed():
    loss, logits, labels = build(2), torch.randn(1, C), torch.tensor([C])
    first = loss(logits, labels)
    assert loss(logits, labels) == first
    values = set()
    for _ in range(10):
        loss.observe(logits, labels)
        values.add(float(loss(logits, labels)))
    assert len(values) > 1
