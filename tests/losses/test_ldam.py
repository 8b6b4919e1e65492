"""What LDAM does beyond the common contract."""

import pytest
import torch
from torch import nn

from bacl.heads.scaled_cosine import ScaledCosine
from bacl.losses import LDAM, SoftmaxCrossEntropy
from bacl.losses.class_balanced import class_balanced_weights
from bacl.messages.errors import OptionError
from tests.losses.counts import COUNTS
from tests.losses.rows import rows_of

C = 4


def build(deferred: float = 0.8) -> LDAM:
    return LDAM(C, 0.5, deferred, 0.9999, COUNTS)


@pytest.mark.parametrize(
    ("deferred", "epochs", "first"),
    [(0.8, 200, 160), (0.8, 24, 20), (0.5, 3, 2), (0, 2, 0), (1, 5, None)],
)
def test_weights_set_in_after_a_share_of_the_epochs(deferred, epochs, first):
    loss, weighted = build(deferred), []
    for epoch in range(epochs):
        loss.begin_epoch(epoch, epochs)
        weighted.append(loss.weighted)
    assert weighted == [first is not None and epoch >= first for epoch in range(epochs)]


def test_a_run_that_goes_on_within_an_epoch_weighs_as_before():
    loss = build()
    loss.begin_epoch(170, 200)
    resumed = build()
    resumed.load_state_dict(loss.state_dict())
    assert not resumed.weighted
    resumed.begin_epoch(170, 200)
    logits, labels = torch.randn(5, C + 1), torch.arange(5)
    rows = rows_of(logits, labels)
    assert torch.equal(resumed(logits, labels, rows), loss(logits, labels, rows))


def test_weights_are_those_of_the_classes_and_of_background_one():
    loss, logits = build(0), torch.randn(C + 1, C + 1)
    plain = build(1)
    for each in (loss, plain):
        each.begin_epoch(0, 1)
    weights = [*class_balanced_weights(COUNTS, C, 0.9999).tolist(), 1.0]
    for label, weight in enumerate(weights):
        labels = torch.tensor([label])
        rows = rows_of(logits[:1], labels)
        expected = weight * plain(logits[:1], labels, rows).item()
        assert loss(logits[:1], labels, rows).item() == pytest.approx(expected, rel=1e-5)


def test_a_margin_of_nothing_but_the_own_class():
    logits = torch.randn(3, C + 1)
    rare, background = torch.full((3,), 3), torch.full((3,), C)
    moved = logits - 0.5 * 30 * torch.eye(C + 1)[3]
    expected = SoftmaxCrossEntropy(C)(moved, rare)
    torch.testing.assert_close(build()(logits, rare, rows_of(logits, rare)), expected)
    expected = SoftmaxCrossEntropy(C)(logits, background)
    torch.testing.assert_close(build()(logits, background, rows_of(logits, background)), expected)


def test_a_predictor_without_angles_is_refused():
    build().initialise(ScaledCosine(3, C + 1, 30.0))
    with pytest.raises(OptionError, match=r"LDAM .* take \+predictor@head.predictor=cosine"):
        build().initialise(nn.Linear(3, C + 1))
