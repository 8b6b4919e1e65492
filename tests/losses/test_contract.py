"""What every classification loss promises, and each against a plain loop."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from bacl.indicators import (
    ConfusionMatrix,
    CumulativeInstances,
    HardConfusionMatrix,
    LongTermIndicator,
    MeanScore,
    SparseConfusionMatrix,
    TruePositiveRate,
)
from bacl.losses import (
    ACSL,
    AREA,
    BAGS,
    C2AM,
    ECM,
    EFL,
    EQL,
    FCBL,
    GOL,
    IDGC2AM,
    IIF,
    LDAM,
    PCB,
    ROG,
    BalancedSigmoid,
    BinaryCrossEntropy,
    BinaryCrossEntropyWithObjectness,
    ClassBalancedSigmoid,
    ClassBalancedSoftmax,
    ClassificationLoss,
    DropLoss,
    EQLv2,
    EquilibriumLoss,
    FederatedLoss,
    Focal,
    Forest,
    GumbelCrossEntropy,
    IDGFocal,
    IDGSeesaw,
    LogitAdjustment,
    MetaBalancedSigmoid,
    ReweightedCrossEntropy,
    Seesaw,
    SimCal,
    SoftmaxCrossEntropy,
)
from bacl.processes.own_draws import OwnDraws
from tests.losses.counts import COUNTS
from tests.losses.plain import DENSITIES, loop
from tests.losses.rows import Cosines, D, rows_of

C = 4
PRIOR = 0.001


def fcbl(indicator: LongTermIndicator | None = None, **switches: bool) -> FCBL:
    return FCBL(C, PRIOR, indicator or ConfusionMatrix(C), 0.85, threshold=0.3, **switches)


def ldam_weighted() -> LDAM:
    loss = LDAM(C, 0.5, 0.8, 0.9, COUNTS)
    loss.begin_epoch(160, 200)
    return loss


def pcb() -> PCB:
    loss = PCB(C, alpha=0.4, decay=0.99, deferred=0.7)
    loss.begin_epoch(17, 24)
    return loss


def dense(loss: ClassificationLoss) -> ClassificationLoss:
    """With densities as if an epoch had ended."""
    loss.density.mapped = torch.tensor(DENSITIES, dtype=torch.float64)
    return loss


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
    "fcbl_sparse_confusion": lambda: fcbl(SparseConfusionMatrix(C, kept=2)),
    "fcbl_mean_score": lambda: fcbl(MeanScore(C, 0.9, 0.01)),
    "fcbl_true_positive_rate": lambda: fcbl(TruePositiveRate(C)),
    "fcbl_cumulative_instances": lambda: fcbl(CumulativeInstances(C)),
    "eqlv2": lambda: EQLv2(C, PRIOR, gamma=12, mu=0.8, alpha=4),
    "eqlv2_observing": lambda: EQLv2(C, PRIOR, 12, 0.8, 4, ConfusionMatrix(C)),
    "seesaw": lambda: Seesaw(C, mitigation=0.8, compensation=2.0),
    "seesaw_mitigation": lambda: Seesaw(C, mitigation=0.8, compensation=0.0),
    "c2am": lambda: C2AM(C, alpha=0.5),
    "area": lambda: AREA(C, D, deferred=0.8),
    "idg_seesaw": lambda: dense(IDGSeesaw(C, D, 0.8, 2.0, exponent=2.0, width=2, seed=0)),
    "idg_seesaw_mitigation": lambda: dense(IDGSeesaw(C, D, 0.8, 0.0, 1.0, width=8, seed=0)),
    "idg_focal": lambda: dense(IDGFocal(C, D, PRIOR, 2.0, 8.0, 0.25, width=2, seed=0)),
    "idg_c2am": lambda: dense(IDGC2AM(C, D, alpha=0.5, width=2, seed=0)),
    "pcb": pcb,
    "pcb_before": lambda: PCB(C, alpha=0.4, decay=0.99, deferred=0.7),
    "reweighted": lambda: ReweightedCrossEntropy(C, 0.8, COUNTS),
    "simcal": lambda: SimCal(C, 100, COUNTS, seed=0),
    "simcal_objectness": lambda: SimCal(
        C, 100, COUNTS, seed=0, first=BinaryCrossEntropyWithObjectness(C, PRIOR)
    ),
    "forest": lambda: Forest(C, [3, 2], COUNTS, seed=0),
    "ebl": lambda: EquilibriumLoss(C, gamma=0.9, initial=0.01),
    "eql": lambda: EQL(C, PRIOR, 0.01, COUNTS),
    "droploss": lambda: DropLoss(C, PRIOR, 0.01, COUNTS, seed=0),
    "droploss_observing": lambda: DropLoss(C, PRIOR, 0.01, COUNTS, 0, ConfusionMatrix(C)),
    "acsl": lambda: ACSL(C, PRIOR, 0.6, 0.7, 0.5, COUNTS, seed=0),
    "federated": lambda: FederatedLoss(C, PRIOR, 3, 0.5, COUNTS, seed=0),
    "ecm": lambda: ECM(C, 2.0, COUNTS),
    "gumbel": lambda: GumbelCrossEntropy(C),
    "gol": lambda: GOL(C, 0.01, COUNTS, seed=0),
    "bags": lambda: BAGS(C, [10, 100], 1.5, COUNTS, seed=0),
    "iif": lambda: IIF(C, "raw", COUNTS),
    "balms": lambda: BalancedSigmoid(C, PRIOR, COUNTS),
    "balms_meta": lambda: MetaBalancedSigmoid(C, PRIOR, 0.1, 0.3, COUNTS),
    "logit_adjustment": lambda: LogitAdjustment(C, 0.8, COUNTS),
    "class_balanced": lambda: ClassBalancedSoftmax(C, 0.9, [0.3, 2.0], COUNTS),
    "class_balanced_sigmoid": lambda: ClassBalancedSigmoid(C, PRIOR, 0.9, [0.3, 2.0], COUNTS),
    "focal": lambda: Focal(C, PRIOR, gamma=2.0, alpha=0.25),
    "efl": lambda: EFL(C, PRIOR, 2.0, 8.0, 0.25),
    "ldam": lambda: LDAM(C, 0.5, 0.8, 0.9, COUNTS),
    "ldam_weighted": ldam_weighted,
    "rog": lambda: ROG(BinaryCrossEntropyWithObjectness(C, PRIOR), 3.0, 1.0, 0.5),
    "rog_fcbl": lambda: ROG(fcbl(), 3.0, 0.5, 0.8),
    "rog_droploss": lambda: ROG(DropLoss(C, PRIOR, 0.01, COUNTS, seed=0), 3.0, 1.0, 0.5),
}


def batch(loss: ClassificationLoss, rows: int = 7, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(C + 1, (rows,), generator=generator)
    return 2 * torch.randn(rows, loss.num_logits, generator=generator), labels


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
    if isinstance(loss, ROG):
        pytest.skip("its gradient is not its derivative")
    follows = isinstance(loss, EquilibriumLoss | MetaBalancedSigmoid | PCB)
    if follows or (isinstance(loss, Seesaw) and loss.compensation):
        pytest.skip("its margins, targets or weights follow the logits as constants")
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
    if any(isinstance(part, OwnDraws) for part in loss.modules()):
        pytest.skip("rows are drawn by their places")
    logits, labels = batch(loss, rows=20)
    order = torch.randperm(20)
    torch.testing.assert_close(
        value_of(loss, logits, labels), value_of(loss, logits[order], labels[order])
    )


RANKED_OTHERWISE = (BAGS, IIF, Forest, SimCal)
"""Losses whose scores compare classes by more than their logits."""


def test_probabilities_are_probabilities_and_follow_the_logits(loss):
    logits, _ = batch(loss)
    probabilities = loss.probabilities(logits)
    assert probabilities.shape == (7, C + 1)
    assert probabilities.dtype == torch.float32
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    if not isinstance(loss, RANKED_OTHERWISE):
        order = logits[:, :C].argsort(dim=1)
        torch.testing.assert_close(probabilities[:, :C].argsort(dim=1), order)


def test_a_class_is_more_probable_with_a_larger_logit(loss):
    logits = batch(loss)[0].clamp(-3, 3)
    before = loss.probabilities(logits)
    for k in range(C):
        raised = torch.eye(loss.num_logits)[[k, C + 1 + k] if isinstance(loss, SimCal) else [k]]
        after = loss.probabilities(logits + 0.1 * raised.sum(dim=0))
        assert (after[:, k] > before[:, k]).all()


def test_huge_logits_keep_loss_and_gradient_finite(loss):
    values = torch.tensor([1e4, -1e4, 3e4, -3e4, 1e4, 0.0]).repeat(2)
    logits = values[: loss.num_logits].repeat(5, 1)
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


FIRST: dict[type[ClassificationLoss], tuple[float, float]] = {
    ClassificationLoss: (0.01, 0.0),
    BinaryCrossEntropy: (0.01, -math.log(999)),
    ECM: (0.01, 0.0),
    GumbelCrossEntropy: (0.0, -2.0),
    GOL: (0.0, -2.0),
    IIF: (0.0, 0.0),
}
"""Deviation of a new predictor's weights, and its bias, by class or base."""


def first_of(loss: ClassificationLoss) -> tuple[float, float]:
    own = loss.base if isinstance(loss, ROG) else loss
    return next(FIRST[kind] for kind in type(own).__mro__ if kind in FIRST)


def test_initialise_sets_weights_and_bias_prior(loss):
    predictor = nn.Linear(300, loss.num_logits)
    predictor.cosine_scale = 30.0
    loss.initialise(predictor)
    deviation, bias = first_of(loss)
    torch.testing.assert_close(predictor.bias, torch.full((loss.num_logits,), bias))
    assert predictor.weight.std().item() == pytest.approx(deviation, rel=0.1, abs=1e-6)
    loss.initialise(Cosines(loss.num_logits))


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


OF_ONE_PROCESS = (OwnDraws, ROG)
"""Losses that look at the rows of their own process, by draws or by comparison."""


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
        if not isinstance(loss, OF_ONE_PROCESS):
            torch.testing.assert_close(values.mean(), value)
        for outcome in outcomes:
            # A processor rounds a sigmoid otherwise at the end of a tensor than within it.
            torch.testing.assert_close(outcome[name][0], loss.state_dict(), rtol=1e-6, atol=0)
