"""What every classification loss promises, and each against a plain loop."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bacl.indicators import (
    ConfusionMatrix,
    CumulativeInstances,
    HardConfusionMatrix,
    LongTermIndicator,
    MeanScore,
    TruePositiveRate,
)
from bacl.losses import (
    FCBL,
    BinaryCrossEntropy,
    BinaryCrossEntropyWithObjectness,
    ClassificationLoss,
    EQLv2,
    Rows,
    Seesaw,
    SoftmaxCrossEntropy,
)
from tests.levels import training_level

C, D = 4, 3
PRIOR = 0.001


def fcbl(indicator: LongTermIndicator | None = None, **switches: bool) -> FCBL:
    return FCBL(C, PRIOR, indicator or ConfusionMatrix(C), 0.85, threshold=0.3, **switches)


LOSSES: dict[str, Callable[[], ClassificationLoss]] = {
    "cross_entropy": lambda: SoftmaxCrossEntropy(C),
    "bce": lambda: BinaryCrossEntropy(C, PRIOR),
    "bce_objectness": lambda: BinaryCrossEntropyWithObjectness(C, PRIOR),
    "bce_objectness_observing": lambda: BinaryCrossEntropyWithObjectness(
        C, PRIOR, ConfusionMatrix(C)
    ),
    "fcbl": fcbl,
    "fcbl_margin": lambda: fcbl(weight=False),
    "fcbl_weight": lambda: fcbl(margin=False),
    "fcbl_misclassified": lambda: fcbl(overconfident=False),
    "fcbl_overconfident": lambda: fcbl(misclassified=False),
    "fcbl_hard_confusion": lambda: fcbl(HardConfusionMatrix(C)),
    "fcbl_mean_score": lambda: fcbl(MeanScore(C, 0.9, 0.01)),
    "fcbl_true_positive_rate": lambda: fcbl(TruePositiveRate(C)),
    "fcbl_cumulative_instances": lambda: fcbl(CumulativeInstances(C)),
    "eqlv2": lambda: EQLv2(C, PRIOR, gamma=12, mu=0.8, alpha=4),
    "eqlv2_observing": lambda: EQLv2(C, PRIOR, 12, 0.8, 4, ConfusionMatrix(C)),
    "seesaw": lambda: Seesaw(C, mitigation=0.8, compensation=2.0),
    "seesaw_mitigation": lambda: Seesaw(C, mitigation=0.8, compensation=0.0),
}


def softmax_loop(loss: ClassificationLoss, z: Tensor, label: int) -> Tensor:
    return -z[label] + sum(z[k].exp() for k in range(C + 1)).log()


def bce(z: Tensor, positive: bool) -> Tensor:
    p = 1 / (1 + (-z).exp())
    return -p.log() if positive else -(1 - p).log()


def bce_loop(loss: ClassificationLoss, z: Tensor, label: int) -> Tensor:
    return sum(bce(z[k], k == label) for k in range(loss.num_logits))


def fcbl_loop(loss: FCBL, z: Tensor, label: int) -> Tensor:
    if label == C:
        return bce_loop(loss, z, label)
    p = [float(1 / (1 + (-value).exp())) for value in z.detach()]
    short = [p[k] * (1 - p[C]) for k in range(C)]
    total = bce(z[label], True) + bce(z[C], False)
    for j in range(C):
        if j == label:
            continue
        confused = loss.misclassified and short[j] >= short[label]
        confident = loss.overconfident and short[j] >= loss.threshold
        if loss.weight and not (confused or confident):
            continue
        total = total + bce(z[j] + (margin(loss, label, j) if loss.margin else 0), False)
    return total


def eqlv2_loop(loss: EQLv2, z: Tensor, label: int) -> Tensor:
    total = bce(z[C], label == C)
    for j in range(C):
        ratio = float(loss.positive[j]) / (float(loss.negative[j]) + 1e-10)
        unseen = float(loss.positive[j]) == float(loss.negative[j]) == 0
        negative = 1.0 if unseen else 1 / (1 + math.exp(-loss.gamma * (ratio - loss.mu)))
        weight = 1 + loss.alpha * (1 - negative) if j == label else negative
        total = total + weight * bce(z[j], j == label)
    return total


def seesaw_loop(loss: Seesaw, z: Tensor, label: int, labels: Tensor) -> Tensor:
    objectness = z[C:].exp()
    total = -(objectness[int(label == C)] / objectness.sum()).log()
    if label == C:
        return total
    n = [max(1, int(loss.counts[j]) + int((labels == j).sum())) for j in range(C)]
    s = [float(value) for value in z.detach()[:C].exp() / z.detach()[:C].exp().sum()]
    terms = []
    for j in range(C):
        factor = (n[j] / n[label]) ** loss.mitigation if n[j] < n[label] else 1
        if s[j] > s[label]:
            factor *= max(1, s[j] / max(s[label], 0.01)) ** loss.compensation
        terms.append(factor * z[j].exp())
    return total - (z[label].exp() / sum(terms)).log()


def margin(loss: FCBL, i: int, j: int) -> float:
    indicator, floor = loss.indicator, 1e-3
    if isinstance(indicator, ConfusionMatrix):
        matrix = indicator.numerator / indicator.counts.clamp(min=1)[:, None]
        other, own = matrix[i, j], matrix[j, i]
    elif isinstance(indicator, CumulativeInstances):
        other, own, floor = indicator.counts[j], indicator.counts[i], 1
    elif isinstance(indicator, TruePositiveRate):
        rates = indicator.hits / indicator.counts.clamp(min=1)
        other, own = rates[j], rates[i]
    else:
        other, own = indicator.scores[j], indicator.scores[i]
    return loss.alpha * math.log(max(float(other), floor) / max(float(own), floor))


def loop(loss: ClassificationLoss, logits: Tensor, labels: Tensor) -> Tensor:
    row = bce_loop
    if isinstance(loss, SoftmaxCrossEntropy):
        row = softmax_loop
    elif isinstance(loss, FCBL):
        row = fcbl_loop
    elif isinstance(loss, EQLv2):
        row = eqlv2_loop
    elif isinstance(loss, Seesaw):
        row = partial(seesaw_loop, labels=labels)
    rows = [row(loss, z, int(label)) for z, label in zip(logits, labels, strict=True)]
    return sum(rows) / len(rows)


def batch(loss: ClassificationLoss, rows: int = 7, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(C + 1, (rows,), generator=generator)
    return 2 * torch.randn(rows, loss.num_logits, generator=generator), labels


class Cosines(nn.Module):
    """What a loss may look at of the predictor: weights of different lengths, and a scale."""

    def __init__(self, num_logits: int) -> None:
        super().__init__()
        self.scale = 30.0
        self.weight = nn.Parameter(torch.arange(1.0, 1 + num_logits * D).view(num_logits, D).sqrt())


def rows_of(logits: Tensor, labels: Tensor) -> Rows:
    """Rows of one image that depend on their logits and labels alone, not on their order.

    Each class has one object, and all its rows are of that object's own box.
    """
    places = torch.arange(1.0, D + 1)
    features = (logits.detach().float().sum(dim=1, keepdim=True) * places).cos()
    objects = torch.where(labels < C, labels, -1)
    boxes = functional.pad((labels + 1).float().unsqueeze(1).expand(-1, 2), (2, 0))
    level = training_level(features, labels, objects=objects, object_boxes=boxes)
    return Rows(features, Cosines(logits.shape[1]), level, added=0)


def value_of(loss: ClassificationLoss, logits: Tensor, labels: Tensor) -> Tensor:
    return loss.of_step(logits, labels, rows_of(logits, labels))


def observe(loss: ClassificationLoss, logits: Tensor, labels: Tensor) -> None:
    loss.observe_step(logits, labels, rows_of(logits, labels))


@pytest.fixture(params=LOSSES)
def build(request) -> Callable[[], ClassificationLoss]:
    return LOSSES[request.param]


@pytest.fixture
def loss(build) -> ClassificationLoss:
    return trained(build)


def trained(build: Callable[[], ClassificationLoss]) -> ClassificationLoss:
    """A loss that has seen one step."""
    loss = build()
    observe(loss, *batch(loss, rows=40, seed=5))
    return loss


def test_loss_is_a_finite_scalar_in_float32(loss):
    value = value_of(loss, *batch(loss))
    assert value.shape == ()
    assert value.dtype == torch.float32
    assert value.isfinite()


def test_loss_and_gradient_match_plain_loops(loss):
    logits, labels = batch(loss)
    assert {C, 0}.issubset(labels.tolist())
    ours = logits.clone().requires_grad_()
    theirs = logits.double().requires_grad_()
    value, expected = value_of(loss, ours, labels), loop(loss, theirs, labels)
    value.backward()
    expected.backward()
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=1e-5, atol=1e-6)


def test_gradient_matches_finite_differences(loss):
    if isinstance(loss, Seesaw) and loss.compensation:
        pytest.skip("its compensation follows the logits but is a constant of the gradient")
    logits, labels = batch(loss)
    inputs = (logits.double().requires_grad_(), labels)
    assert torch.autograd.gradcheck(partial(value_of, loss), inputs)


def test_empty_batch_gives_zero_with_a_graph(loss):
    logits = torch.zeros(0, loss.num_logits, requires_grad=True)
    labels = torch.zeros(0, dtype=torch.int64)
    value = value_of(loss, logits, labels)
    value.backward()
    assert value == 0
    assert logits.grad.shape == logits.shape
    assert loss.probabilities(logits).shape == (0, C + 1)
    before = {name: buffer.clone() for name, buffer in loss.named_buffers()}
    observe(loss, logits.detach(), labels)
    torch.testing.assert_close(dict(loss.named_buffers()), before)


def test_background_alone_is_a_valid_batch(loss):
    logits = torch.randn(3, loss.num_logits, requires_grad=True)
    labels = torch.full((3,), C)
    value = value_of(loss, logits, labels)
    value.backward()
    torch.testing.assert_close(value.double(), loop(loss, logits.detach().double(), labels))
    assert logits.grad.isfinite().all()


def test_forward_writes_no_statistics(loss):
    before = {name: buffer.clone() for name, buffer in loss.named_buffers()}
    value_of(loss, *batch(loss))
    torch.testing.assert_close(dict(loss.named_buffers()), before, rtol=0, atol=0)


def test_order_of_rows_does_not_matter(loss):
    logits, labels = batch(loss, rows=20)
    order = torch.randperm(20)
    torch.testing.assert_close(
        value_of(loss, logits, labels), value_of(loss, logits[order], labels[order])
    )


def test_probabilities_are_probabilities_and_follow_the_logits(loss):
    logits, _ = batch(loss)
    probabilities = loss.probabilities(logits)
    assert probabilities.shape == (7, C + 1)
    assert probabilities.dtype == torch.float32
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    order = logits[:, :C].argsort(dim=1)
    torch.testing.assert_close(probabilities[:, :C].argsort(dim=1), order)


def test_huge_logits_keep_loss_and_gradient_finite(loss):
    logits = torch.tensor([1e4, -1e4, 3e4, -3e4, 1e4, 0.0])[: loss.num_logits].repeat(5, 1)
    logits.requires_grad_()
    value = value_of(loss, logits, torch.arange(5))
    value.backward()
    assert value.isfinite()
    assert logits.grad.isfinite().all()


def test_autocast_computes_in_float32(loss, build):
    reference = trained(build)
    logits, labels = batch(loss)
    half = logits.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        value, probabilities = value_of(loss, half, labels), loss.probabilities(half)
        observe(loss, half, labels)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, value_of(reference, half.float(), labels))
    torch.testing.assert_close(probabilities, reference.probabilities(half.float()))
    observe(reference, half.float(), labels)
    torch.testing.assert_close(loss.state_dict(), reference.state_dict(), rtol=0, atol=0)


def test_state_dict_continues_in_another_object(loss, build):
    twin = build()
    twin.load_state_dict(loss.state_dict())
    logits, labels = batch(loss, seed=9)
    for one in (loss, twin):
        observe(one, logits, labels)
    assert torch.equal(value_of(loss, logits, labels), value_of(twin, logits, labels))
    torch.testing.assert_close(twin.state_dict(), loss.state_dict(), rtol=0, atol=0)


def test_initialise_sets_weights_and_bias_prior(loss):
    predictor = nn.Linear(300, loss.num_logits)
    loss.initialise(predictor)
    softmax = isinstance(loss, SoftmaxCrossEntropy | Seesaw)
    expected = 0 if softmax else -math.log(999)
    torch.testing.assert_close(predictor.bias, torch.full((loss.num_logits,), float(expected)))
    assert predictor.weight.std().item() == pytest.approx(0.01, rel=0.1)
    loss.initialise(nn.Linear(3, loss.num_logits, bias=False))


@pytest.mark.parametrize("name", ["bce", "bce_objectness", "fcbl_margin", "eqlv2"])
def test_first_sigmoid_loss_is_as_expected(name):
    # One positive at probability 0.001 and, for objectness, C + 1 channels in all.
    loss = LOSSES[name]()
    predictor = nn.Linear(1, loss.num_logits)
    loss.initialise(predictor)
    nn.init.zeros_(predictor.weight)
    value = value_of(loss, predictor(torch.zeros(2, 1)), torch.tensor([0, 1]))
    negatives = loss.num_logits - 1
    assert value.item() == pytest.approx(-math.log(0.001) - negatives * math.log(0.999), rel=1e-5)


def test_indicator_of_other_classes_is_refused():
    with pytest.raises(ValueError, match="indicator has 3 classes, the loss 4"):
        SoftmaxCrossEntropy(C, ConfusionMatrix(3))


def foreground_and_background(loss: ClassificationLoss) -> list[tuple[Tensor, Tensor]]:
    """One step of two processes, the second without any foreground row."""
    logits, labels = batch(loss, rows=12, seed=3)
    return [(logits[:6], labels[:6]), (logits[6:], torch.full((6,), C))]


def observe_on(rank: int) -> dict[str, tuple[dict[str, Tensor], Tensor]]:
    outcome = {}
    for name, build in LOSSES.items():
        loss = build()
        for _ in range(2):
            logits, labels = foreground_and_background(loss)[rank]
            value = value_of(loss, logits, labels)
            observe(loss, logits, labels)
        empty = slice(0, 6 if rank == 0 else 0)
        observe(loss, logits[empty], labels[empty])
        outcome[name] = (loss.state_dict(), value)
    return outcome


def test_two_processes_equal_one_with_both_batches(two_processes):
    outcomes = two_processes(observe_on)
    for name, build in LOSSES.items():
        loss = build()
        steps = foreground_and_background(loss)
        logits, labels = (torch.cat(part) for part in zip(*steps, strict=True))
        for _ in range(2):
            value = value_of(loss, logits, labels)
            observe(loss, logits, labels)
        observe(loss, *steps[0])
        values = torch.stack([outcome[name][1] for outcome in outcomes])
        torch.testing.assert_close(values.mean(), value)
        for outcome in outcomes:
            # A processor rounds a sigmoid otherwise at the end of a tensor than within it.
            torch.testing.assert_close(outcome[name][0], loss.state_dict(), rtol=1e-6, atol=0)
