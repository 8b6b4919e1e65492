"""What ACSL does beyond the common contract."""

import torch

from bacl.losses import ACSL
from tests.losses.counts import COUNTS

C = 4
FEW = torch.full((1, C + 1), -1.0)


def build(common: float = 0.1, rare: float = 0.01) -> ACSL:
    return ACSL(C, 0.01, 0.7, common, rare, COUNTS, seed=0)


def kept(loss: ACSL, labels: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    draws = loss.uniform((2, len(labels)), labels.device)
    return loss.kept(logits, labels, draws)


def test_shares_of_the_background_rows_suppress_common_and_rare_classes():
    labels = torch.full((350,), C)
    labels[::7] = 0  # 50 foreground rows, 300 background rows
    found = kept(build(), labels, FEW.expand(350, -1))
    background = labels == C
    assert found[background].sum(0).tolist() == [300, 30, 3, 3, 300]
    assert torch.equal(found[:, 2], found[:, 3])  # one draw for a group
    assert not (found[:, 1] >= found[:, 2]).all()  # and another for another
    assert found[~background].sum(0).tolist() == [50, 0, 0, 0, 0]


def test_the_rows_are_drawn_anew_and_evenly():
    loss, labels = build(common=0.5), torch.full((10,), C)
    times = torch.zeros(10)
    for _ in range(400):
        times += kept(loss, labels, FEW.expand(10, -1))[:, 1]
        loss.observe(FEW.expand(10, -1), labels)
    torch.testing.assert_close(times / 400, torch.full((10,), 0.5), rtol=0, atol=0.12)


def test_confident_classes_are_suppressed_in_foreground_rows_alone():
    logits = torch.tensor([[0.0, 0.85, 0.84, 9.0, 2.0]])  # sigmoid(0.8473) is 0.7
    found = [kept(build(), torch.tensor([label]), logits)[0].tolist() for label in (0, C)]
    assert found == [[True, True, False, True, True], [True, False, False, False, True]]
