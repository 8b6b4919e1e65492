from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional

from bacl.losses import ReweightedCrossEntropy

C = 3


def loss(counts: list[int], rho: float = 0.8) -> ReweightedCrossEntropy:
    return ReweightedCrossEntropy(C, rho, SimpleNamespace(instance_counts=counts))


def test_it_is_torchs_weighted_mean():
    made, logits, labels = loss([100, 10, 1]), torch.randn(8, C + 1), torch.arange(8) % (C + 1)
    weight = torch.tensor([100.0, 10, 1]) ** -0.8
    weight = torch.cat((weight / weight.mean(), torch.ones(1)))
    torch.testing.assert_close(
        made(logits, labels), functional.cross_entropy(logits, labels, weight)
    )


def test_without_rho_it_is_cross_entropy_and_no_count_is_one():
    logits, labels = torch.randn(8, C + 1), torch.arange(8) % (C + 1)
    plain = functional.cross_entropy(logits, labels)
    torch.testing.assert_close(loss([100, 10, 1], rho=0.0)(logits, labels), plain)
    torch.testing.assert_close(loss([5, 0, 2]).weights, loss([5, 1, 2]).weights)


def test_counts_of_other_classes_are_refused():
    with pytest.raises(ValueError, match=r"instance_counts has shape \(2,\), expected \(3,\)"):
        loss([1, 2])
