"""A whole head, with feature hallucination, on two processes, and how often these talk."""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from unittest.mock import patch

import torch
import torch.distributed as dist
from torch import Tensor

from bacl.data.statistics import CategoryStatistics
from bacl.detectors.levels import ExtraFeatures, TrainingLevel
from bacl.heads import (
    BoxGenerator,
    Classifier,
    FeatureHallucination,
    RefiningClassifier,
    SecondClassifier,
)
from bacl.heads.causal_norm import CausalNorm
from bacl.heads.class_means import NearestClassMean
from bacl.heads.fasa import FASA
from bacl.heads.hallucination import jittered_moments
from bacl.heads.memory_sampling import MemorySampling
from bacl.heads.object_memory import ObjectMemory
from bacl.heads.scaled_cosine import ScaledCosine
from bacl.indicators import (
    ConfusionMatrix,
    CumulativeInstances,
    ImageFrequency,
    MeanScore,
    SparseConfusionMatrix,
    TruePositiveRate,
)
from bacl.losses import (
    ACSL,
    AREA,
    BAGS,
    C2AM,
    EFL,
    EQL,
    FCBL,
    GOL,
    PCB,
    ROG,
    BinaryCrossEntropyWithObjectness,
    ClassificationLoss,
    DropLoss,
    EQLv2,
    EquilibriumLoss,
    FederatedLoss,
    IDGSeesaw,
    MetaBalancedSigmoid,
    ReweightedCrossEntropy,
    Seesaw,
    SimCal,
    SoftmaxCrossEntropy,
)
from bacl.processes.gathered_rows import gather_rows
from tests.levels import training_level

C, D = 5, 4
COUNTS = CategoryStatistics.unknown(list("abcde"))


def build() -> Classifier:
    hallucination = FeatureHallucination(C, D, categories=3, samples=2, beta=0.9, seed=0)
    return Classifier(D, FCBL(C, 0.001, ConfusionMatrix(C), 0.85, 0.7), hallucination)


def shares() -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """One step of both processes; the second has neither objects nor foreground rows."""
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(8, D, generator=generator)
    jittered = torch.rand(32, D, generator=generator)
    labels, background = torch.tensor([0, 0, 4, C]), torch.full((4,), C)
    jittered_labels = torch.tensor([0, 4]).repeat_interleave(16)
    none = torch.zeros(0, dtype=torch.int64)
    return [
        (features[:4], labels, jittered, jittered_labels),
        (features[4:], background, jittered[:0], none),
    ]


def train(rank: int) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    head = build()
    for _ in range(3):
        features, labels, *jittered = shares()[rank]
        head.loss(training_level(features, labels, tuple(jittered)))
    features, labels = head.hallucination.generate(torch.zeros(C))
    return head.state_dict(), features, labels


def observe_half(rank: int) -> dict[str, Tensor]:
    module = build().hallucination
    features, labels = observed()
    observe(module, features[rank::2], labels[rank::2])
    observe(module, features[: 7 * rank], labels[: 7 * rank])
    return module.state_dict()


def observe(module: FeatureHallucination, features: Tensor, labels: Tensor) -> None:
    module.follow(jittered_moments(ExtraFeatures(features, labels), C))


def observed() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(60, D, generator=generator), torch.randint(4, (60,), generator=generator)


def test_statistics_agree_on_both_processes_and_draws_differ(two_processes):
    (first, features, labels), (second, other, other_labels) = two_processes(train)
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert first["hallucination.seen"].tolist() == [True, False, False, False, True]
    assert first["criterion.indicator.counts"].sum() >= 3 * 3
    assert features.shape != other.shape or not torch.equal(features, other)
    assert {*labels.tolist(), *other_labels.tolist()} <= {0, 4}


def test_feature_distributions_equal_those_of_one_process(two_processes):
    states = two_processes(observe_half)
    module = build().hallucination
    features, labels = observed()
    observe(module, features, labels)
    observe(module, features[:7], labels[:7])
    assert module.seen.tolist() == [True, True, True, True, False]
    for state in states:
        torch.testing.assert_close(state, module.state_dict())


causal_norm = partial(CausalNorm, heads=2, scale=16.0, gamma=1 / 32, alpha=1.5, decay=0.9)


def head(loss: ClassificationLoss, predictor: Callable | None = None) -> Classifier:
    return Classifier(D, loss, predictor=predictor)


COUNTED = SimpleNamespace(
    image_counts=[9, 1, 50, 2, 3], instance_counts=[9, 1, 50, 2, 3], frequency=list("crfrr")
)


def fasa() -> FASA:
    """It draws nothing yet, so that one process has as many rows as two."""
    return FASA(C, D, COUNTED, 0.9, weight=0.1, start=1, more=1.1, less=0.9, seed=0)


def reweighted() -> ClassificationLoss:
    return ReweightedCrossEntropy(C, 0.8, COUNTED)


def known(loss: AREA) -> AREA:
    """With means as if an epoch had ended."""
    loss.means.fill_(0.4)
    loss.known.fill_(True)
    return loss


def static() -> ClassificationLoss:
    """A loss with an indicator that added rows do not move."""
    counts = SimpleNamespace(image_counts=[1] * C, num_images=9)
    return BinaryCrossEntropyWithObjectness(C, 0.001, ImageFrequency(C, counts))


def pcb() -> RefiningClassifier:
    loss = PCB(C, alpha=0.4, decay=0.9, deferred=0.7)
    loss.begin_epoch(17, 24)
    return RefiningClassifier(D, loss, C, True, D, side=1, width=3, weights=[0.2, 0.2, 0.6])


def simcal() -> SecondClassifier:
    return SecondClassifier(D, SimCal(C, 100, COUNTED, seed=0), D, side=1, layers=2)


def balms_meta() -> Classifier:
    return head(MetaBalancedSigmoid(C, 0.001, 0.1, 0.3, COUNTS))


def sparse_fcbl() -> FCBL:
    return FCBL(C, 0.001, SparseConfusionMatrix(C, kept=3), 0.85, 0.7)


GATHERING = {
    "fcbl": lambda: head(FCBL(C, 0.001, ConfusionMatrix(C), 0.85, 0.7)),
    "fcbl_sparse": lambda: head(sparse_fcbl()),
    "tde": lambda: head(SoftmaxCrossEntropy(C), causal_norm),
    "ebl": lambda: head(EquilibriumLoss(C, 0.9, 0.01)),
    "ncm": lambda: head(SoftmaxCrossEntropy(C), partial(NearestClassMean, scale=20.0)),
    "fasa": lambda: Classifier(D, SoftmaxCrossEntropy(C), fasa()),
    "rio": lambda: Classifier(D, SoftmaxCrossEntropy(C), ObjectMemory(C, D, COUNTED, 5, 3, 2)),
    "pcb": pcb,
    "balms_meta": balms_meta,
    "area": lambda: head(known(AREA(C, D, deferred=0.0))),
    "idg_seesaw": lambda: head(IDGSeesaw(C, D, 0.8, 2.0, 1.0, width=2, seed=0)),
    "mfs": lambda: Classifier(D, static(), MemorySampling(C, D, 2, 2, 4, 0, BoxGenerator())),
}
"""Heads with statistics of what their rows are."""


def steps_of(rank: int | None) -> list[TrainingLevel]:
    """Two steps, of one process or of both together; in the second, one has background alone."""
    generator = torch.Generator().manual_seed(2)
    levels = []
    for own_labels in ([0, 0, 4, C, 1, 4, 2, C], [3, 0, C, C, C, C, C, C]):
        features = torch.rand(8, D, generator=generator)
        labels = torch.tensor(own_labels)
        objects = torch.where(labels < C, torch.tensor([0, 0, 1, 1, 2, 3, 4, 4]), -1)
        boxes = 10 * torch.rand(8, 4, generator=generator).cumsum(dim=1)
        jittered = torch.rand(6, D, generator=generator), torch.tensor([0, 0, 1, 0, 4, 4])
        own = slice(None) if rank is None else slice(4 * rank, 4 * rank + 4)
        mine = slice(None) if rank is None else slice(3 * rank, 3 * rank + 3)
        rows = features[own], labels[own], tuple(part[mine] for part in jittered)
        levels.append(training_level(*rows, objects[own], boxes[own]))
    return levels


def gather_on(rank: int | None) -> dict[str, dict[str, Tensor]]:
    states = {}
    for name, make in GATHERING.items():
        made = make()
        for level in steps_of(rank):
            made.loss(level)
        states[name] = made.state_dict()
    return states


def test_what_is_gathered_of_rows_equals_that_of_one_process(two_processes):
    alone = gather_on(None)
    for states in two_processes(gather_on):
        torch.testing.assert_close(states, alone)


COLLECTIVES = {
    "cross_entropy": (lambda: SoftmaxCrossEntropy(C), 0),
    "bce_objectness": (lambda: BinaryCrossEntropyWithObjectness(C, 0.001), 0),
    "fcbl": (lambda: FCBL(C, 0.001, ConfusionMatrix(C), 0.85, 0.7), 2),
    "fcbl_sparse": (sparse_fcbl, 2),
    "fcbl_cumulative_instances": (lambda: FCBL(C, 0.001, CumulativeInstances(C), 0.85, 0.7), 1),
    "fcbl_mean_score": (lambda: FCBL(C, 0.001, MeanScore(C, 0.9, 0.01), 0.85, 0.7), 1),
    "fcbl_true_positive_rate": (lambda: FCBL(C, 0.001, TruePositiveRate(C), 0.85, 0.7), 1),
    "eqlv2": (lambda: EQLv2(C, 0.001, 12, 0.8, 4), 1),
    "seesaw": (lambda: Seesaw(C, 0.8, 2.0), 1),
    "eql": (lambda: EQL(C, 0.001, 0.01, COUNTS), 0),
    "droploss": (lambda: DropLoss(C, 0.001, 0.01, COUNTS, seed=0), 1),
    "acsl": (lambda: ACSL(C, 0.01, 0.7, 0.1, 0.01, COUNTS, seed=0), 0),
    "reweighted": (reweighted, 1),
    "ncm": (GATHERING["ncm"], 2),
    "area": (GATHERING["area"], 2),
    "idg_seesaw": (GATHERING["idg_seesaw"], 3),
    "pcb": (pcb, 3 * 2),
    "simcal": (simcal, 1),
    "balms_meta": (balms_meta, 4),
    "fasa": (GATHERING["fasa"], 4),
    "rio": (GATHERING["rio"], 2),
    "ebl": (lambda: EquilibriumLoss(C, 0.9, 0.01), 1),
    "c2am": (lambda: head(C2AM(C, 0.5), partial(ScaledCosine, scale=30.0)), 0),
    "tde": (lambda: head(SoftmaxCrossEntropy(C), causal_norm), 1),
    "federated": (lambda: FederatedLoss(C, 0.01, 3, 0.5, COUNTS, seed=0), 0),
    "bags": (lambda: BAGS(C, [10], 8, COUNTS, seed=0), 0),
    "efl": (lambda: EFL(C, 0.001, 2.0, 8.0, 0.25), 1),
    "rog": (lambda: ROG(EQLv2(C, 0.001, 12, 0.8, 4), 0.1, 1.0, 0.5), 2),
    "gol": (lambda: GOL(C, 0.01, COUNTS, seed=0), 1),
}
"""Losses or heads, and the sums over processes of a step; the confusion matrix asks first which
classes occur, and then sends their rows alone."""


def gather(rank: int) -> list[Tensor]:
    rows = torch.arange(6.0).view(3, 2)
    return [gather_rows(rows[slice(*part)] + 10 * rank) for part in ((rank, 3), (0, 2 * rank))]


def test_rows_of_all_processes_come_in_their_order(two_processes):
    rows = torch.arange(6.0).view(3, 2)
    for both, second in two_processes(gather):
        assert torch.equal(both, torch.cat((rows, rows[1:] + 10)))
        assert torch.equal(second, rows[:2] + 10)


def count_sums(rank: int) -> dict[str, list[int]]:
    features, labels, *_ = shares()[rank]
    counts = {}
    for name, (build_loss, _) in COLLECTIVES.items():
        built = build_loss()
        head = built if isinstance(built, Classifier) else Classifier(D, built)
        counts[name] = []
        for _ in range(2):
            with patch.object(dist, "all_reduce", wraps=dist.all_reduce) as summed:
                head.loss(training_level(features, labels))
            counts[name].append(summed.call_count)
    return counts


def count_sent(rank: int) -> dict[str, list[int]]:
    features, labels, *_ = shares()[rank]
    sent = {}
    for name in ("fcbl", "fcbl_sparse"):
        with patch.object(dist, "all_reduce", wraps=dist.all_reduce) as summed:
            Classifier(D, COLLECTIVES[name][0]()).loss(training_level(features, labels))
        sent[name] = [call.args[0].numel() for call in summed.call_args_list]
    return sent


def test_of_a_confusion_matrix_only_the_rows_of_a_step_are_sent(two_processes):
    expected = [C, 2 * C]  # counts of all classes, then rows of the two that occur
    assert two_processes(count_sent) == 2 * [{"fcbl": expected, "fcbl_sparse": expected}]


def test_a_step_sums_over_processes_as_rarely_as_it_can(two_processes):
    expected = {name: [number] * 2 for name, (_, number) in COLLECTIVES.items()}
    assert two_processes(count_sums) == [expected, expected]
