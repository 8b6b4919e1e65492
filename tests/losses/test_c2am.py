import pytest
import torch
from torch import nn

from bacl.heads import Classifier
from bacl.heads.scaled_cosine import ScaledCosine
from bacl.losses import C2AM, Rows
from bacl.messages.errors import OptionError
from tests.levels import training_level

C, D = 3, 4


def rows(lengths: list[float]) -> Rows:
    predictor = ScaledCosine(D, C + 1, scale=30.0)
    weight = nn.functional.normalize(torch.rand(C + 1, D))
    predictor.weight.data = weight * torch.tensor(lengths).unsqueeze(1)
    features = torch.rand(C + 1, D)
    return Rows(features, predictor, training_level(features, torch.arange(C + 1)), 0)


def test_logits_are_scaled_cosines():
    given = rows([2.0, 1.0, 0.5, 3.0])
    expected = nn.functional.cosine_similarity(
        given.features.unsqueeze(1), given.predictor.weight.unsqueeze(0), dim=2
    )
    torch.testing.assert_close(given.predictor(given.features), 30 * expected)
    assert not list(given.predictor(torch.zeros(2, D)).flatten().nonzero())


def test_equal_lengths_have_no_margins_and_no_gradient_reaches_lengths():
    loss, labels = C2AM(C, alpha=0.5), torch.arange(C + 1)
    given = rows([1.0, 1.0, 1.0, 5.0])
    logits = given.predictor(given.features)
    plain = nn.functional.cross_entropy(logits, labels)
    torch.testing.assert_close(loss(logits, labels, given), plain)
    given = rows([2.0, 1.0, 0.5, 3.0])
    loss(given.predictor(given.features), labels, given).backward()
    weight = given.predictor.weight
    along = (weight.grad * weight).sum(dim=1)  # of cosines, the gradient is across
    torch.testing.assert_close(along, torch.zeros(C + 1), atol=1e-5, rtol=0)


def test_angles_at_both_ends_have_finite_gradients():
    loss, given = C2AM(C, alpha=0.5), rows([2.0, 1.0, 0.5, 3.0])
    logits = torch.tensor([[30.0, -30.0, 30.0, 0.0]]).repeat(C + 1, 1).requires_grad_()
    loss(logits, torch.arange(C + 1), given).backward()
    assert logits.grad.isfinite().all()


def test_a_linear_classifier_is_refused_when_it_is_built():
    with pytest.raises(OptionError, match=r"predictor@head\.predictor=cosine"):
        Classifier(D, C2AM(C, alpha=0.5))
