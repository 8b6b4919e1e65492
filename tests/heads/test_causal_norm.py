import pytest
import torch
from torch import Tensor, nn

from bacl.heads import Classifier
from bacl.heads.causal_norm import CausalNorm
from bacl.losses import SoftmaxCrossEntropy
from bacl.messages.errors import OptionError
from tests.levels import training_level

C, D = 3, 6
NONE = torch.zeros(0, dtype=torch.int64)


def layer(decay: float = 0.5) -> CausalNorm:
    made = CausalNorm(D, C + 1, heads=2, scale=16.0, gamma=1 / 32, alpha=1.5, decay=decay)
    made.initialise(nn.init.zeros_)
    return made


def test_the_direction_follows_foreground_rows_and_stays_without_any():
    made, features = layer(), torch.rand(4, D)
    made.observe(features, torch.tensor([0, C, 2, C]))
    mean = (features[0] + features[2]).double() / 2
    torch.testing.assert_close(made.direction, mean)
    made.observe(features, torch.full((4,), C))
    made.observe(features[:0], NONE)
    torch.testing.assert_close(made.direction, mean)
    made.observe(features[1:2], torch.tensor([1]))
    torch.testing.assert_close(made.direction, 0.5 * mean + features[1].double())


def plain_scores(made: CausalNorm, features: Tensor) -> Tensor:
    """Of each row by itself, as the paper writes them."""
    half, rows = D // 2, []
    for x in features.double():
        factual, common = torch.zeros(C + 1).double(), torch.zeros(C + 1).double()
        for k in range(2):
            part = slice(k * half, (k + 1) * half)
            e = made.direction[part] / made.direction[part].norm()
            unit = x[part] / x[part].norm()
            for j, w in enumerate(made.linear.weight.detach().double()[:, part]):
                w = w / (w.norm() + 1 / 32)
                factual[j] += 8 * unit @ w
                common[j] += 8 * 1.5 * (unit @ e) * (e @ w)
        p, q = factual.softmax(0), (factual - common).softmax(0)
        q[:C] *= p[:C].sum() / q[:C].sum()
        rows.append(torch.cat((q[:C], p[C:])))
    return torch.stack(rows)


def test_scores_are_counterfactual_and_background_is_left_alone():
    made, features = layer(), torch.rand(5, D)
    made.observe(features, torch.tensor([0, 1, 2, C, C]))
    loss = SoftmaxCrossEntropy(C)
    before = loss.probabilities(made(features))
    after = loss.probabilities(made.eval()(features))
    torch.testing.assert_close(after.double(), plain_scores(made, features), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(after[:, C], before[:, C])
    assert (after - before).abs().max() > 0.01


def test_before_any_foreground_scores_are_those_of_the_logits():
    made, features = layer(), torch.rand(5, D)
    loss = SoftmaxCrossEntropy(C)
    expected = loss.probabilities(made(features))
    torch.testing.assert_close(loss.probabilities(made.eval()(features)), expected)


def test_rows_of_zeros_and_none_have_finite_gradients():
    made = layer()
    features = torch.zeros(2, D, requires_grad=True)
    made(features).sum().backward()
    assert features.grad.isfinite().all()
    assert made.linear.weight.grad.isfinite().all()
    assert made(torch.zeros(0, D)).shape == made.eval()(torch.zeros(0, D)).shape == (0, C + 1)


def test_it_trains_in_mixed_precision():
    head = Classifier(D, SoftmaxCrossEntropy(C), predictor=lambda d, k: layer())
    level = training_level(torch.rand(6, D).bfloat16(), torch.tensor([0, 1, 2, C, C, C]))
    with torch.autocast("cpu", torch.bfloat16):
        head.loss(level).backward()
        scores = head.eval().scores(head.logits(level.features, level), level)
    assert head.predictor.linear.weight.grad.isfinite().all()
    torch.testing.assert_close(scores.sum(dim=1), torch.ones(6))


def test_it_starts_uniform_whatever_the_loss():
    made = CausalNorm(400, 5, 2, 16.0, 1 / 32, 1.5, 0.9)
    made.initialise(nn.init.zeros_)
    weight = made.linear.weight
    assert 0.0495 < weight.abs().max() <= 0.05
    assert weight.std().item() == pytest.approx(0.05 / 3**0.5, rel=0.05)


def test_features_that_cannot_be_cut_are_refused():
    with pytest.raises(OptionError, match=r"predictor\.heads=4: 6 features"):
        CausalNorm(D, C + 1, 4, 16.0, 1 / 32, 1.5, 0.9)
