"""Worked numbers of the reference data: losses, gradients, probabilities and statistics."""

import json
import math
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bacl.heads import FeatureHallucination
from bacl.heads.causal_norm import CausalNorm
from bacl.heads.disalign import DisAlign
from bacl.heads.fasa import FASA
from bacl.heads.feature_distributions import feature_moments
from bacl.heads.memory_sampling import MemorySampling
from bacl.heads.predictors import NormalisedLinear
from bacl.heads.scaled_cosine import ScaledCosine
from bacl.indicators import ConfusionMatrix
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
    ClassBalancedSoftmax,
    DropLoss,
    EQLv2,
    EquilibriumLoss,
    FederatedLoss,
    Focal,
    Forest,
    GumbelCrossEntropy,
    LogitAdjustment,
    MetaBalancedSigmoid,
    ReweightedCrossEntropy,
    Rows,
    Seesaw,
    SimCal,
    SoftmaxCrossEntropy,
)
from bacl.losses.area import class_weights
from bacl.losses.information_density import mapped
from bacl.losses.pcb import normalised
from tests.levels import training_level

COUNTS = torch.tensor([100, 10, 2])


@pytest.fixture(scope="module")
def vectors(shared):
    return json.loads((shared / "methods_vectors.json").read_text())


@pytest.fixture
def rows(vectors) -> tuple[Tensor, Tensor]:
    inputs = vectors["_inputs"]
    return torch.tensor(inputs["Z"], dtype=torch.float64), torch.tensor(inputs["Y"])


@pytest.fixture
def counts(vectors) -> SimpleNamespace:
    inputs = vectors["_inputs"]
    return SimpleNamespace(
        image_counts=np.array(inputs["image_count"], dtype=np.int64),
        instance_counts=np.array(inputs["instance_count"], dtype=np.int64),
        frequency=["f", "c", "r"],
        box_shapes=np.eye(3),
        num_images=10**6,
        num_annotated=int(inputs["num_images"]),
    )


def check(loss, vector, logits: Tensor, labels: Tensor) -> None:
    logits = logits.clone().requires_grad_()
    value = loss(logits, labels)
    value.backward()
    assert value.item() == pytest.approx(vector["loss"], abs=2e-6)
    torch.testing.assert_close(
        logits.grad, torch.tensor(vector["grad"]).double(), rtol=0, atol=2e-6
    )


def test_cross_entropy(vectors, rows):
    loss = SoftmaxCrossEntropy(3)
    check(loss, vectors["SCE"], *rows)
    expected = torch.tensor(vectors["SCE"]["act"]).double()
    torch.testing.assert_close(loss.probabilities(rows[0]), expected, rtol=0, atol=2e-6)


def test_binary_cross_entropy(vectors, rows):
    loss = BinaryCrossEntropy(3, 0.001)
    logits, labels = rows
    check(loss, vectors["BCE_C"], logits[:, :3], labels)
    probabilities = loss.probabilities(logits[:, :3])
    expected = torch.tensor(vectors["BCE_C"]["act"]).double()
    torch.testing.assert_close(probabilities[:, :3], expected, rtol=0, atol=2e-6)
    assert (probabilities[:, 3] == 0).all()


def test_binary_cross_entropy_with_objectness(vectors, rows):
    loss = BinaryCrossEntropyWithObjectness(3, 0.001)
    check(loss, vectors["BCEstar"], *rows)
    expected = torch.tensor(vectors["BCEstar"]["act"]).double()
    torch.testing.assert_close(loss.probabilities(rows[0]), expected, rtol=0, atol=2e-6)


def trained_fcbl(vectors, **switches: bool) -> FCBL:
    indicator = ConfusionMatrix(3)
    matrix = torch.tensor(vectors["FCBL_noreweight"]["cm"], dtype=torch.float64)
    indicator.numerator.copy_(matrix * COUNTS[:, None])
    indicator.counts.copy_(COUNTS)
    return FCBL(3, 0.001, indicator, alpha=0.85, threshold=0.7, **switches)


def test_fcbl_margin(vectors, rows):
    loss = trained_fcbl(vectors, weight=False)
    check(loss, vectors["FCBL_noreweight"], *rows)
    expected = torch.tensor(vectors["FCBL_noreweight"]["margin"])[:3, :3]
    margin = 0.85 * loss.indicator.log_ratio(rows[1][:3])
    torch.testing.assert_close(margin, expected, rtol=0, atol=2e-6)


def test_fcbl(vectors, rows):
    loss = trained_fcbl(vectors)
    check(loss, vectors["FCBL"], *rows)
    logits, labels = rows
    expected = torch.tensor(vectors["FCBL"]["w"]).double()[:3]
    torch.testing.assert_close(loss.weights(logits[:3], labels[:3]), expected)


def test_fcbl_statistics_after_the_step(vectors, rows):
    loss = trained_fcbl(vectors)
    loss.observe(*rows)
    state = vectors["FCBL_state"]
    expected = torch.tensor(state["num_after"]).double()
    torch.testing.assert_close(loss.indicator.numerator, expected, rtol=0, atol=2e-6)
    assert loss.indicator.counts.tolist() == state["cnt_after"]
    expected = torch.tensor(state["cm_after"])
    torch.testing.assert_close(loss.indicator.matrix(), expected, rtol=0, atol=2e-6)


def test_eqlv2_over_two_steps(vectors, rows):
    loss = EQLv2(3, 0.001, gamma=12, mu=0.8, alpha=4)
    for name in ("EQLv2_step1", "EQLv2_step2"):
        vector = vectors[name]
        positive, negative = loss.weights()
        near(negative, vector["neg_w_used"])
        near(positive, vector["pos_w_used"])
        check(loss, vector, *rows)
        loss.observe(*rows)
        near(loss.positive, vector["pos_grad_after"])
        near(loss.negative, vector["neg_grad_after"])
        near(loss.ratio(), vector["g_after"])


def test_seesaw(vectors, rows):
    vector = vectors["Seesaw"]
    loss = Seesaw(3, mitigation=0.8, compensation=2.0)
    loss.counts.copy_(torch.tensor(vector["cum_before"]))
    logits, labels = torch.tensor(vector["Z5"], dtype=torch.float64), rows[1]
    total = {**vector, "loss": vector["loss_cls"] + vector["loss_obj"]}
    check(loss, total, logits, labels)
    counts = torch.tensor(vector["cum_after"]).long()
    near(loss.log_factors(logits[:3, :3], labels[:3], counts).exp(), vector["S"], rtol=1e-6)
    near(loss.probabilities(logits), vector["act"])
    loss.observe(logits, labels)
    assert torch.equal(loss.counts, counts)


def test_eql(vectors, rows, counts):
    loss, (logits, labels) = EQL(3, 0.001, 0.03, counts), rows
    check(loss, vectors["EQL"], logits[:, :3], labels)
    near(loss.kept(labels), vectors["EQL"]["w"])
    near(loss.probabilities(logits[:, :3])[:, :3], vectors["BCE_C"]["act"])


def test_droploss(vectors, rows, counts):
    loss, (logits, labels) = DropLoss(3, 0.001, 0.03, counts, seed=0), rows
    near(loss.share(labels), vectors["DropLoss"]["ratio"])
    draws = torch.tensor([[0.9] * 3] * 3 + [[0.2, 0.5, 0.9]])
    near(loss.kept_with(labels, draws), vectors["DropLoss"]["w"])
    loss.uniform = lambda shape, device: draws
    check(loss, vectors["DropLoss"], logits[:, :3], labels)


def test_acsl(vectors, rows, counts):
    vector, labels = vectors["ACSL"], rows[1]
    loss = ACSL(3, 0.01, threshold=0.7, common=0.1, rare=0.01, statistics=counts, seed=0)
    logits = torch.tensor(vector["ZA"]).double()
    check(loss, vector, logits, labels)
    near(loss.kept(logits, labels, torch.rand(2, 4)), vector["w"])
    near(loss.probabilities(logits), vector["prob"])


@pytest.mark.parametrize("name", ["C2AM", "C2AM_s4"])
def test_c2am(vectors, name):
    vector, theta = vectors["C2AM"], torch.tensor(vectors["C2AM"]["theta"]).double()
    loss, scale = C2AM(3, alpha=0.5), 4.0 if name == "C2AM_s4" else vector["s"]
    predictor = ScaledCosine(2, 3, scale).double()
    lengths = torch.tensor(vector["wnorm"]).double()
    predictor.weight.data = lengths.unsqueeze(1) * torch.tensor([0.6, 0.8]).double()
    labels, cosines = torch.tensor(vector["labels"]).long(), theta.cos().requires_grad_()
    rows = Rows(theta, predictor, training_level(theta, labels), 0)
    near(loss.margins(rows, torch.arange(3)), vector["m"])
    value = loss(scale * cosines, labels, rows)
    value.backward()
    near(value.detach(), vectors[name]["loss"])
    near(cosines.grad, vectors[name]["grad"], atol=1e-5)


def test_disalign(vectors, rows):
    """The last feature is the confidence, the others are the logits."""
    vector, logits = vectors["DisAlign"], rows[0].clone().requires_grad_()
    layer = DisAlign(5, 4).double()
    layer.base.weight.data, layer.base.bias.data = torch.eye(4, 5).double(), torch.zeros(4).double()
    last = torch.tensor([[0.0, 0, 0, 0, 1]]).double()
    layer.confidence.weight.data, layer.confidence.bias.data = last, torch.zeros(1).double()
    layer.alpha.data = torch.tensor(vector["alpha"]).double()
    layer.beta.data = torch.tensor(vector["beta"]).double()
    confidence = torch.tensor(vector["conf_logit"]).double().unsqueeze(1)
    aligned = layer(torch.cat((logits, confidence), dim=1))
    near(aligned.detach(), vector["aligned"])
    loss = ReweightedCrossEntropy(3, 0.8, SimpleNamespace(instance_counts=[4000, 80, 6]))
    near(loss.weights, vector["grw_weight"])
    value = loss(aligned, rows[1])
    value.backward()
    near(value.detach(), vector["loss"])
    near(logits.grad, vector["grad"])


def test_equilibrium_loss(vectors, rows):
    """The vector's memory value, 0.3 of class 1, comes of a row that is added, and taken off."""
    vector, logits, labels = vectors["LOCE_EBL"], *rows
    loss = EquilibriumLoss(3, gamma=0.9, initial=0.01)
    near(logits[:3].softmax(dim=1).gather(1, labels[:3, None])[:, 0], vector["softmax_at_gt"])
    replayed = torch.tensor([[0.3, 0.3, 0.2, 0.2]]).double().log()
    every = torch.cat((logits, replayed)).requires_grad_()
    objects = torch.tensor([0, 1, 2, -1])
    level = training_level(logits, labels, objects=objects)
    of_step = Rows(every, nn.Identity(), level, added=1)
    value = loss(every, torch.cat((labels, torch.tensor([1]))), of_step)
    value.backward()
    scores = torch.tensor(vector["s_after"]).double()
    replay = functional.cross_entropy(replayed + scores.log(), torch.tensor([1]))
    near((5 * value.detach() - replay) / 4, vector["loss"], atol=1e-5)
    near(5 / 4 * every.grad[:4], vector["grad"])
    loss.observe(every.detach(), torch.cat((labels, torch.tensor([1]))), rows=of_step)
    near(loss.indicator.scores, vector["s_after"][:3])


@pytest.mark.parametrize("iteration", [0, 1, 2])
def test_pairwise_class_balance(vectors, rows, iteration):
    state, labels = vectors["PCB_state"], rows[1]
    loss = PCB(3, alpha=0.4, decay=0.99, deferred=0.7)
    loss.matrix.copy_(torch.tensor(state["cm_before"]))
    loss.begin_epoch(17, 24)
    loss.begin_iteration(iteration / 2)
    check(loss, vectors[f"PCB_iter{iteration}"], *rows)
    loss.observe(*rows)
    near(loss.matrix, state["cm_after"])
    targets = functional.pad(normalised(loss.matrix[:, labels[:3]]), (0, 1))
    near(targets, state["soft_target"])


def test_forest(vectors, rows, counts):
    vector, logits = vectors["Forest"], rows[0][:1]
    loss = Forest(3, [2, 2], statistics=counts, seed=0)
    loss.tree_parents.copy_(torch.tensor(vector["parents"]))
    trees = [torch.tensor([row], dtype=torch.float64) for row in vector["parent_logits"]]
    near((loss.log_factors(trees) - math.log(2)).exp(), [vector["cal"][0]])
    near(loss.probabilities(torch.cat((logits, *trees), dim=1)), [vector["act"][0]])


def test_simcal(vectors, rows, counts):
    vector, logits = vectors["SimCal"], rows[0]
    loss = SimCal(3, few=100, statistics=counts, seed=0)
    both = torch.cat((torch.tensor(vector["calib_logits"]).double(), logits), dim=1)
    near(loss.probabilities(both), vector["merged"])


def test_memory_sampling(vectors):
    module = MemorySampling(3, 2, 8, 4, 80, seed=0)
    weights = module.selection_weights(torch.tensor(vectors["LOCE_EBL"]["s_after"][:3]))
    near(weights / weights.sum(), vectors["LOCE_MFS_prob"]["prob"], atol=1e-5)


def test_fasa(vectors):
    vector = vectors["FASA_prob0"]
    counted = SimpleNamespace(instance_counts=[4000, 80, 6], frequency=["f", "c", "r"])
    for losses, expected in (([1.0, 2.0], "down"), ([2.0, 1.0], "up"), ([1.0, 1.0], "prob")):
        module = FASA(3, 2, counted, 0.9, 0.1, start=1, more=1.1, less=0.9, seed=0)
        near(module.probabilities, vector["prob"], atol=1e-6)
        for value in losses:
            module.losses[0], module.rows[0] = value, 1
            module.adapt()
        near(module.probabilities, vector[expected], atol=1e-6)


def test_feature_moments(vectors):
    vector = vectors["FHM_ema"]
    module = FeatureHallucination(1, 2, 8, 12, beta=0.9, seed=0)
    module.prototypes[0], module.variances[0] = torch.tensor([vector["mu0"], vector["var0"]])
    module.seen.fill_(True)
    features = torch.tensor(vector["x"])
    module.follow(feature_moments(features, torch.zeros(3, dtype=torch.int64), 1))
    near(module.prototypes[0], vector["mu"])
    near(module.variances[0], vector["var"])
    near(module.features(torch.tensor([0]), torch.ones(1, 2)) - module.prototypes, [vector["std"]])


def test_area(vectors):
    vector = vectors["AREA"]
    features, labels = torch.tensor(vector["feat"]).double(), torch.tensor([0, 0, 0, 0, 1, 2])
    features = torch.cat((features, torch.ones(2, 3).double()))
    loss = AREA(3, 3, deferred=0.0)
    loss.means[0] = torch.tensor(vector["class_mean"])
    loss.known.fill_(True)
    step = Rows(features, nn.Identity(), training_level(features, labels), 0)
    loss.observe(torch.zeros(6, 4), labels, rows=step)
    near(loss.areas, vector["eff"], rtol=1e-6)
    near(class_weights(loss.areas), vector["weights"])


def test_information_density(vectors):
    vector, three = vectors["IDG"], torch.arange(3)
    loss = IDGC2AM(3, 2, alpha=0.5, width=2, seed=0)
    loss.density.mapped = mapped(torch.tensor(vector["I"]).double())
    near(loss.density.mapped, vector["mapped"])
    near(loss.density.ratios(three), vector["ratio"])
    margins = torch.tensor(vector["c2am_margin"])
    near(loss.margins(None, three), margins.fill_diagonal_(0).tolist())


def test_causal_norm(vectors):
    vector = vectors["TDE"]
    layer = CausalNorm(4, 4, heads=2, scale=16.0, gamma=1 / 32, alpha=1.5, decay=0.9).double()
    layer.linear.weight.data = torch.tensor(vector["W"]).double()
    layer.direction.copy_(torch.tensor(vector["e"][0]))
    features = torch.tensor(vector["x"]).double()
    loss, logits = SoftmaxCrossEntropy(4 - 1), layer(features)
    near(logits, vector["y_train"])
    near(loss(logits, torch.tensor([0, 3])), vector["loss_labels_0_3"])
    near(loss.probabilities(layer.eval()(features)), vector["act"])


def test_federated(vectors, rows, counts):
    vector, logits = vectors["FedLoss"], rows[0][:, :3]
    labels = torch.tensor(vector["labels"]).long()
    loss = FederatedLoss(3, 0.01, classes=3, power=0.5, statistics=counts, seed=0)
    near(loss.weights, vectors["FedLoss_prob"]["w"])
    near(loss.kept(labels, torch.rand(3)), vector["keep"])  # two classes and background
    check(loss, vector, logits, labels)


def test_ecm(vectors, rows, counts):
    vector, loss = vectors["ECM"], ECM(3, 6.3313, counts)
    margin = torch.tensor(vector["pos_shift"]) - torch.tensor(vector["neg_shift"])
    near(loss.margin, margin.tolist())
    near(loss.weight, vector["cls_weight"])
    check(loss, vector, *rows)
    near(loss.probabilities(rows[0]), vector["act"])


def test_gumbel_cross_entropy(vectors, rows):
    check(GumbelCrossEntropy(3), vectors["GumbelCE_C1"], *rows)


def test_gol(vectors, rows, counts):
    vector, labels = vectors["GOL_drop"], rows[1]
    loss, logits = GOL(3, 0.03, counts, seed=0), torch.tensor(vector["Z"]).double()
    draws = torch.tensor([[0.9] * 3] * 3 + [[0.2, 0.5, 0.9]])
    near(loss.kept_with(labels, draws), vector["w"])
    loss.uniform = lambda shape, device: draws
    check(loss, vector, logits, labels)
    near(loss.probabilities(logits)[:, :3], vector["act"])


def test_bags(vectors, rows, counts):
    vector, labels = vectors["BAGS"], rows[1]
    loss = BAGS(3, [10, 100], others=8, statistics=counts, seed=0)
    assert loss.groups.tolist() == [2, 1, 0]
    # Theirs is [background, object | others, c2 | others, c1 | others, c0].
    ours = [7, 5, 3, 0, 1, 2, 4, 6]
    logits = torch.tensor(vector["Z8"]).double()[:, ours]
    grad = torch.tensor(vector["grad"])[:, ours].tolist()
    check(loss, vector | {"grad": grad}, logits, labels)
    near(loss.probabilities(logits), vector["act"])


@pytest.mark.parametrize("factor", ["raw", "smooth", "base2", "base10", "rel", "gombit"])
def test_iif_factors(vectors, counts, factor):
    loss = IIF(3, {"rel": "relative"}.get(factor, factor), counts)
    near(loss.factors, [*vectors["IIF_weights"][factor], 1.0])


def test_iif(vectors, rows, counts):
    loss = IIF(3, "raw", counts)
    check(loss, vectors["IIF_raw"], *rows)
    near(loss.probabilities(rows[0]), vectors["IIF_raw"]["act"])


def test_balanced_sigmoid(vectors, rows, counts):
    vector, loss = vectors["BALMS_sigmoid"], BalancedSigmoid(3, 0.001, counts)
    near(loss.margin, vector["shift"])
    check(loss, vector, rows[0][:, :3], rows[1])


def test_meta_balanced_sigmoid(vectors, rows, counts):
    vector, (logits, labels) = vectors["BALMS_meta"], rows
    loss = MetaBalancedSigmoid(3, 0.001, rate=0.0, inner_rate=0.02, statistics=counts)
    loss.weights.value.copy_(torch.tensor(vector["w_learner"]))
    features = torch.rand(4, 2).double()
    step = Rows(features, nn.Identity(), training_level(features, labels), 0)
    check(partial(loss, rows=step), vector, logits[:, :3], labels)


def without_background(logits: Tensor) -> Tensor:
    """The vectors of classification: a background column that takes no part."""
    return functional.pad(logits[:3, :3], (0, 1), value=-1e9)


def with_background(vector) -> dict:
    return vector | {"grad": [[*row, 0.0] for row in vector["grad"]]}


def scaled(vector, factor: float) -> dict:
    """A vector whose sum was divided by something else than the rows."""
    grad = (factor * torch.tensor(vector["grad"]).double()).tolist()
    return vector | {"loss": factor * vector["loss"], "grad": grad}


def test_logit_adjustment(vectors, rows, counts):
    vector, loss = vectors["LA_train"], LogitAdjustment(3, 1.0, counts)
    near(loss.margin, [*vector["log_pi"], 0])
    check(loss, with_background(vector), without_background(rows[0]), rows[1][:3])


@pytest.mark.parametrize("beta", [0.999, 0.9999])
def test_class_balanced_weights(vectors, counts, beta):
    loss = ClassBalancedSoftmax(3, beta, [1e-6, 1e6], counts)
    near(loss.weights, [*vectors[f"CB_{beta}"]["norm_sumC"], 1.0])


def test_class_balanced_softmax(vectors, rows, counts):
    loss = ClassBalancedSoftmax(3, 0.999, [1e-6, 1e6], counts)
    labels = rows[1][:3]
    vector = scaled(vectors["CB_softmax"], float(loss.weights[labels].sum()) / 3)
    check(loss, with_background(vector), without_background(rows[0]), labels)


def test_focal(vectors, rows):
    loss = Focal(3, 0.01, gamma=2.0, alpha=0.25)
    check(loss, scaled(vectors["Focal"], 3 / 4), rows[0][:, :3], rows[1])


def test_efl(vectors, rows):
    vector, (logits, labels) = vectors["EFL"], rows
    loss, logits = EFL(3, 0.001, gamma=2.0, scale=8.0, alpha=0.25), logits[:, :3]
    loss.positive.copy_(torch.tensor([2.0, 1.0, 0.0]))
    loss.negative.fill_(2.0)
    near(loss.ratio(), vector["g"])
    near(loss.exponents(), vector["gamma"])
    check(loss, scaled(vector, 3 / 4), logits, labels)
    loss.observe(logits, labels)
    gained = (loss.positive - torch.tensor([2.0, 1.0, 0.0])) / 3
    near(gained, vector["pos_grad_sum"])
    near((loss.negative - 2) / 3, vector["neg_grad_sum"])


def test_ldam(vectors, rows, counts):
    vector, loss = vectors["LDAM"], LDAM(3, 0.5, 0.8, 0.9999, counts)
    near(loss.margins, [*vector["delta"], 0])
    logits = 30 * torch.tensor(vector["cos"]).double()
    step = Rows(torch.zeros(3, 2), SimpleNamespace(cosine_scale=30.0), None, added=0)
    # With respect to the logits, where theirs is with respect to cosines.
    grad = (torch.tensor(vector["grad"]).double() / 30).tolist()
    expected = with_background(vector | {"grad": grad})
    check(partial(loss, rows=step), expected, without_background(logits), rows[1][:3])


def test_rog(vectors, rows):
    vector, base = vectors["ROG_GAP"], vectors["BCEstar"]
    loss = ROG(BinaryCrossEntropyWithObjectness(3, 0.001), weight=0.1, gamma=1.0, delta=0.5)
    loss.samples.copy_(torch.tensor(vector["num_samples"]))
    error = {"loss": vector["value"], "grad": vector["grad"]}
    check(loss.error, error, rows[0][:, :3], rows[1])
    term = functional.pad(torch.tensor(vector["grad"]), (0, 1))
    total = {
        "loss": vector["value"] + base["loss"],
        "grad": (term + torch.tensor(base["grad"])).tolist(),
    }
    check(partial(loss, rows=None), total, *rows)


def test_normalised_linear(vectors):
    layer = NormalisedLinear(3, 2, temperature=20)
    layer.weight.data = torch.tensor([[0.0, 3, 4], [1, 0, 0]])
    near(layer(torch.tensor([[1.0, 2, 2]])).double(), vectors["NormedLinear"]["out"])


def near(found: Tensor, expected, rtol: float = 0.0, atol: float = 2e-6) -> None:
    expected = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(found.double(), expected, rtol=rtol, atol=atol)
