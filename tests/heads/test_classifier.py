import copy
import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import Tensor, nn

from bacl.detectors.levels import TrainingLevel
from bacl.heads import (
    AddedFeatures,
    BoxGenerator,
    Calibration,
    Classifier,
    FeatureHallucination,
    Predictor,
    RefiningClassifier,
    SecondClassifier,
    TreeClassifier,
)
from bacl.heads.causal_norm import CausalNorm
from bacl.heads.class_means import NearestClassMean
from bacl.heads.disalign import DisAlign
from bacl.heads.fasa import FASA
from bacl.heads.hallucination import jittered_moments
from bacl.heads.learnable_scales import LearnableScales
from bacl.heads.memory_sampling import MemorySampling
from bacl.heads.object_memory import ObjectMemory
from bacl.heads.scaled_cosine import ScaledCosine
from bacl.heads.weight_norm_cosine import WeightNormCosine
from bacl.indicators import ConfusionMatrix
from bacl.losses import (
    ACSL,
    AREA,
    C2AM,
    FCBL,
    IDGC2AM,
    PCB,
    BinaryCrossEntropy,
    BinaryCrossEntropyWithObjectness,
    ClassificationLoss,
    DropLoss,
    EquilibriumLoss,
    Forest,
    IDGFocal,
    IDGSeesaw,
    MetaBalancedSigmoid,
    ReweightedCrossEntropy,
    Rows,
    SimCal,
    SoftmaxCrossEntropy,
)
from tests.levels import level, training_level

C, D = 5, 8
CONF = Path(__file__).parents[2] / "conf"
COUNTS = SimpleNamespace(
    image_counts=[60, 50, 9, 5, 1],
    instance_counts=[90, 60, 9, 7, 1],
    frequency=list("fcrrr"),
    box_shapes=np.arange(10.0).reshape(5, 2) ** 2,
    num_images=120,
    num_annotated=100,
)


def fcbl() -> FCBL:
    return FCBL(C, 0.001, ConfusionMatrix(C), alpha=0.85, threshold=0.7)


def bacl(seed: int = 0) -> Classifier:
    hallucination = FeatureHallucination(C, D, categories=3, samples=4, beta=0.9, seed=seed)
    return Classifier(D, fcbl(), hallucination, seed=seed)


causal_norm = partial(CausalNorm, heads=2, scale=16.0, gamma=1 / 32, alpha=1.5, decay=0.9)


COUNTED = SimpleNamespace(
    image_counts=[9, 1, 50, 2, 3], instance_counts=[9, 1, 50, 2, 3], frequency=list("crfrr")
)


def reweighted() -> ReweightedCrossEntropy:
    return ReweightedCrossEntropy(C, 0.8, COUNTED)


def fasa() -> FASA:
    return FASA(C, D, COUNTED, 0.9, weight=0.1, start=0, more=1.1, less=0.9, seed=0)


def object_memory() -> ObjectMemory:
    return ObjectMemory(C, D, COUNTED, few=5, size=4, recent=3)


def pcb() -> RefiningClassifier:
    loss = PCB(C, alpha=0.4, decay=0.9, deferred=0.0)
    loss.begin_epoch(0, 1)
    return RefiningClassifier(D, loss, C, True, D, side=1, width=6, weights=[0.2, 0.2, 0.6])


def memory_sampling() -> MemorySampling:
    return MemorySampling(C, D, 3, 4, size=20, seed=0, box_generator=BoxGenerator())


HEADS: dict[str, Callable[[], Classifier]] = {
    "bacl": bacl,
    "bacl_other_seed": lambda: bacl(seed=7),
    "fcbl": lambda: Classifier(D, fcbl()),
    "bce_objectness": lambda: Classifier(D, BinaryCrossEntropyWithObjectness(C, 0.001)),
    "bce": lambda: Classifier(D, BinaryCrossEntropy(C, 0.001)),
    "cross_entropy": lambda: Classifier(D, SoftmaxCrossEntropy(C)),
    "droploss": lambda: Classifier(D, DropLoss(C, 0.001, 0.5, COUNTS, seed=0)),
    "acsl": lambda: Classifier(D, ACSL(C, 0.01, 0.7, 0.8, 0.5, COUNTS, seed=0)),
    "c2am": lambda: Classifier(D, C2AM(C, alpha=0.5), predictor=partial(ScaledCosine, scale=30.0)),
    "loce": lambda: Classifier(D, EquilibriumLoss(C, 0.9, 0.01), memory_sampling()),
    "disalign": lambda: Classifier(D, reweighted(), predictor=DisAlign),
    "lws": lambda: Classifier(D, SoftmaxCrossEntropy(C), predictor=LearnableScales),
    "ncm": lambda: Classifier(
        D, SoftmaxCrossEntropy(C), predictor=partial(NearestClassMean, scale=20.0)
    ),
    "fasa": lambda: Classifier(D, SoftmaxCrossEntropy(C), fasa()),
    "rio": lambda: Classifier(
        D, SoftmaxCrossEntropy(C), object_memory(), partial(WeightNormCosine, factor=48.0)
    ),
    "pcb": pcb,
    "forest": lambda: TreeClassifier(D, Forest(C, [3, 2], COUNTS, seed=0), width=6),
    "balms_meta": lambda: Classifier(D, MetaBalancedSigmoid(C, 0.001, 0.1, 0.3, COUNTS)),
    "simcal": lambda: SecondClassifier(D, SimCal(C, 100, COUNTS, seed=0), D, side=1, layers=2),
    "area": lambda: Classifier(D, AREA(C, D, deferred=0.0)),
    "idg_seesaw": lambda: Classifier(D, IDGSeesaw(C, D, 0.8, 2.0, 1.0, width=4, seed=0)),
    "idg_focal": lambda: Classifier(D, IDGFocal(C, D, 0.001, 2.0, 8.0, 0.25, width=4, seed=0)),
    "idg_c2am": lambda: Classifier(
        D, IDGC2AM(C, D, 0.5, width=4, seed=0), predictor=partial(ScaledCosine, scale=30.0)
    ),
    "tde": lambda: Classifier(D, SoftmaxCrossEntropy(C), predictor=causal_norm),
}


def steps(count: int = 3) -> list[TrainingLevel]:
    generator = torch.Generator().manual_seed(0)

    def step() -> TrainingLevel:
        labels = torch.randint(C + 1, (12,), generator=generator)
        jittered = torch.randint(C, (2,), generator=generator).repeat_interleave(16)
        features = torch.rand(12, D, generator=generator)
        rows = torch.rand(32, D, generator=generator)
        return training_level(features, labels, (rows, jittered), background=C)

    return [step() for _ in range(count)]


def train(heads: list[Classifier], count: int = 3) -> None:
    """A few steps of SGD on the sum of the heads' losses, beside other users of the generator."""
    optimizers = [torch.optim.SGD(head.parameters(), lr=0.1, momentum=0.9) for head in heads]
    for step in steps(count):
        torch.rand(len(heads))
        sum(head.loss(step) for head in heads).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()


@pytest.mark.parametrize("name", HEADS)
def test_trained_among_others_it_ends_bit_for_bit_as_alone(name):
    alone = HEADS[name]()
    train([alone])
    together = {other: build() for other, build in HEADS.items()}
    train(list(together.values()))
    torch.testing.assert_close(together[name].state_dict(), alone.state_dict(), rtol=0, atol=0)
    learned = zip(alone.parameters(), HEADS[name]().parameters(), strict=True)
    assert all(torch.equal(*pair) != pair[0].requires_grad for pair in learned)


@pytest.mark.parametrize("name", HEADS)
def test_head_uses_no_global_generator(name):
    before = torch.get_rng_state()
    head = HEADS[name]()
    for step in steps():
        head.loss(step)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", HEADS)
def test_resumed_head_continues_bit_for_bit(name):
    straight, resumed = HEADS[name](), HEADS[name]()
    losses = [straight.loss(step) for step in steps(2)]
    resumed.load_state_dict(straight.state_dict())
    step = steps(3)[2]
    assert torch.equal(straight.loss(step), resumed.loss(step))
    torch.testing.assert_close(resumed.state_dict(), straight.state_dict(), rtol=0, atol=0)
    assert torch.stack(losses).isfinite().all()


def test_initial_weights_follow_the_seed():
    first, same, other = bacl(0), bacl(0), bacl(1)
    assert torch.equal(first.predictor.weight, same.predictor.weight)
    assert not torch.equal(first.predictor.weight, other.predictor.weight)


class Recorder(ClassificationLoss):
    """Notes which rows a loss sees and in what state of the indicator."""

    def __init__(self) -> None:
        super().__init__(C, ConfusionMatrix(C))
        self.calls: list[tuple[str, Tensor, int]] = []

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        self.calls.append(("loss", labels, int(self.indicator.counts.sum())))
        return logits.sum()

    def probabilities(self, logits: Tensor) -> Tensor:
        return logits.softmax(dim=1)

    def observe(self, logits: Tensor, labels: Tensor) -> None:
        self.calls.append(("observe", labels, int(self.indicator.counts.sum())))
        assert not logits.requires_grad
        super().observe(logits, labels)


def test_order_of_a_step():
    loss = Recorder()
    head = Classifier(D, loss, FeatureHallucination(C, D, 3, 4, 0.9, seed=0))
    step = steps(1)[0]
    head.hallucination.seen.fill_(True)
    value = head.loss(step)
    (first, rows, before), (second, observed, unchanged) = loss.calls
    assert (first, second) == ("loss", "observe")
    # The loss sees real rows, then 3 x 4 hallucinated ones, with the indicator before the step.
    assert (before, unchanged) == (0, 0)
    assert torch.equal(rows[:12], step.labels)
    assert rows.shape == (24,)
    assert torch.equal(observed, rows)
    assert loss.indicator.counts.sum() == (rows < C).sum()
    value.backward()
    assert head.predictor.weight.grad.abs().sum() > 0


def test_loss_divides_by_hallucinated_rows_too():
    head = bacl()
    step = steps(1)[0]
    head.hallucination.seen.fill_(True)
    twin = bacl()
    twin.load_state_dict(head.state_dict())
    twin.hallucination.follow(jittered_moments(step.extra[BoxGenerator()], C))
    extra, extra_labels = twin.hallucination.generate(twin.criterion.indicator.strength())
    rows = torch.cat([step.features, extra]), torch.cat([step.labels, extra_labels])
    expected = twin.criterion(twin.predictor(rows[0]), rows[1])
    assert len(rows[1]) == 24
    assert torch.equal(head.loss(step), expected)


def test_features_learn_from_the_loss():
    step = steps(1)[0]
    step.features.requires_grad_()
    bacl().loss(step).backward()
    assert step.features.grad.abs().sum() > 0


def test_evaluation_changes_nothing_and_hallucinates_nothing():
    head = bacl()
    head.loss(steps(1)[0])
    head.eval()
    before = copy.deepcopy(head.state_dict())
    step = steps(1)[0]
    value = head.loss(step)
    torch.testing.assert_close(head.state_dict(), before, rtol=0, atol=0)
    torch.testing.assert_close(value, head.criterion(head.predictor(step.features), step.labels))


def test_step_without_objects_or_rois():
    head = bacl()
    none = torch.zeros(0, dtype=torch.int64)
    head.loss(training_level(torch.zeros(0, D), none, (torch.zeros(0, D), none))).backward()
    assert head.predictor.weight.grad.abs().sum() == 0


def scores(head: Classifier, features: Tensor) -> Tensor:
    return head.scores(head.predictor(features), level(features))


def test_scores_come_from_the_predictor():
    head = bacl()
    features = torch.rand(4, D)
    probabilities = scores(head, features)
    assert probabilities.shape == (4, C + 1)
    expected = head.predictor(features).sigmoid()
    torch.testing.assert_close(probabilities[:, C], expected[:, C])
    torch.testing.assert_close(probabilities[:, 0], expected[:, 0] * (1 - expected[:, C]))


def test_autocast_step_trains_in_mixed_precision():
    head = bacl()
    step = steps(1)[0]
    half = replace(step, features=step.features.bfloat16())
    with torch.autocast("cpu", torch.bfloat16):
        value = head.loss(half)
        probabilities = scores(head, step.features)
    value.backward()
    assert value.dtype == probabilities.dtype == torch.float32
    assert head.predictor.weight.grad.isfinite().all()


def test_predictor_can_be_replaced():
    class Scaled(nn.Linear):
        def forward(self, features: Tensor) -> Tensor:
            return 20 * super().forward(features)

    head = Classifier(D, BinaryCrossEntropy(C, 0.001), predictor=Scaled)
    assert head.predictor.weight.shape == (C, D)
    torch.testing.assert_close(head.predictor.bias, torch.full((C,), -6.906755))


class Twice(AddedFeatures):
    """Adds the first two rows once more."""

    def added(self, level, indicator):
        assert indicator is None
        return level.features[:2], level.labels[:2]


def test_what_a_method_adds_is_learned_from_without_an_indicator():
    head, step = Classifier(D, SoftmaxCrossEntropy(C), Twice()), steps(1)[0]
    rows = torch.cat((step.features, step.features[:2]))
    expected = head.criterion(head.predictor(rows), torch.cat((step.labels, step.labels[:2])))
    assert torch.equal(head.loss(step), expected)
    assert head.extra_boxes is None
    assert torch.equal(
        head.eval().loss(step), head.criterion(head.predictor(step.features), step.labels)
    )


class Halved(Calibration):
    """Halves the scores of every class, from the logits."""

    def forward(self, logits, probabilities, level):
        assert len(logits) == len(level.features)
        return probabilities(logits) / 2


def test_calibrated_scores():
    head = Classifier(D, BinaryCrossEntropy(C, 0.001), calibration=Halved())
    features, plain = torch.rand(4, D), Classifier(D, BinaryCrossEntropy(C, 0.001))
    assert torch.equal(scores(head, features), scores(plain, features) / 2)
    assert head.state_dict().keys() == plain.state_dict().keys()
    step = steps(1)[0]
    assert torch.equal(head.loss(step), plain.loss(step))


def test_what_a_head_needs():
    assert bacl().extra_boxes == BoxGenerator()
    assert Classifier(D, fcbl()).extra_boxes is None
    hallucination = FeatureHallucination(C, D, 3, 4, 0.9, seed=0)
    with pytest.raises(ValueError, match="take a loss that has one"):
        Classifier(D, SoftmaxCrossEntropy(C), hallucination)


def composed(option: str, *overrides: str) -> Classifier:
    given = [f"+data.num_classes={C}", f"+detector.feature_dim={D}", "+seed=3"]
    with initialize_config_dir(str(CONF), version_base=None):
        config = compose(f"head/{option}", overrides=[*given, *overrides])
    return instantiate(config.head)


@pytest.mark.parametrize(
    ("option", "loss", "hallucinates"),
    [
        ("bacl", FCBL, True),
        ("fcbl", FCBL, False),
        ("bce", BinaryCrossEntropy, False),
        ("bce_objectness", BinaryCrossEntropyWithObjectness, False),
        ("cross_entropy", SoftmaxCrossEntropy, False),
        ("c2am", C2AM, False),
        ("tde", SoftmaxCrossEntropy, False),
    ],
)
def test_configured_heads(option, loss, hallucinates):
    head = composed(option)
    assert type(head.criterion) is loss
    assert (head.extra_boxes is not None) is hallucinates
    assert head.loss(steps(1)[0]).isfinite()


def test_configured_values_are_the_papers():
    head = composed("bacl")
    assert (head.criterion.alpha, head.criterion.threshold) == (0.85, 0.7)
    assert head.criterion.margin
    assert head.criterion.weight
    module = head.hallucination
    assert (module.categories, module.samples, module.beta) == (8, 12, 0.9)
    assert module.seed == 3
    assert isinstance(head.criterion.indicator, ConfusionMatrix)


def test_hallucination_can_be_switched_off_and_on():
    assert composed("bacl", "fhm@head.hallucination=none").hallucination is None
    assert composed("fcbl", "fhm@head.hallucination=bacl").extra_boxes == BoxGenerator()


def test_parts_of_the_loss_can_be_overridden():
    head = composed("bacl", "head.loss.alpha=0.5", "head.loss.weight=false")
    assert head.criterion.alpha == 0.5
    assert not head.criterion.weight
    head = composed("fcbl", "loss@head.loss=bce")
    assert type(head.criterion) is BinaryCrossEntropy


@pytest.mark.parametrize(
    ("option", "kind"),
    [
        ("confusion_matrix", "ConfusionMatrix"),
        ("hard_confusion_matrix", "HardConfusionMatrix"),
        ("sparse_confusion_matrix", "SparseConfusionMatrix"),
        ("true_positive_rate", "TruePositiveRate"),
        ("mean_score", "MeanScore"),
        ("cumulative_instances", "CumulativeInstances"),
    ],
)
def test_configured_indicators(option, kind):
    head = composed("bacl", f"indicator@head.loss.indicator={option}")
    assert type(head.criterion.indicator).__name__ == kind
    assert head.loss(steps(1)[0]).isfinite()


@pytest.mark.parametrize("kind", ["image", "instance"])
def test_configured_static_indicators_count_the_training_annotations(kind, tmp_path):
    # Class i has i + 1 objects, all in one image of its own.
    categories = [{"id": 10 + i, "name": f"c{i}"} for i in range(C)]
    images = [{"id": i, "width": 90, "height": 90, "file_name": f"{i}.jpg"} for i in range(C)]
    box = {"bbox": [1, 1, 20, 20], "area": 400, "iscrowd": 0}
    objects = [i for i in range(C) for _ in range(i + 1)]
    annotations = [
        {"id": number, "image_id": i, "category_id": 10 + i, **box}
        for number, i in enumerate(objects, start=1)
    ]
    path = tmp_path / "train.json"
    content = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content))
    head = composed(
        "bacl",
        f"indicator@head.loss.indicator={kind}_frequency",
        f"+data.train.annotations={path}",
    )
    expected = [1] * C if kind == "image" else [1, 2, 3, 4, 5]
    assert head.criterion.indicator.counts.tolist() == expected


class HalfLinear(Predictor):
    """A linear layer within another one, which counts the rows that it observes."""

    def __init__(self, features: int, logits: int) -> None:
        super().__init__()
        self.base = nn.Linear(features, logits)
        self.register_buffer("rows", torch.zeros((), dtype=torch.int64))

    @property
    def classes(self) -> nn.Module:
        return self.base

    def forward(self, features: Tensor) -> Tensor:
        return self.base(features) / 2

    def observe(self, features: Tensor, labels: Tensor) -> None:
        assert not features.requires_grad
        self.rows += len(labels)


def test_a_predictor_of_its_own_is_initialised_and_observes():
    classifier = Classifier(D, fcbl(), predictor=HalfLinear)
    torch.testing.assert_close(classifier.predictor.base.bias[0].item(), -math.log(999))
    (step,) = steps(1)
    classifier.loss(step)
    assert classifier.predictor.rows == 12
    classifier.eval().loss(step)
    assert classifier.predictor.rows == 12
    half = classifier.predictor.base(step.features) / 2
    torch.testing.assert_close(classifier.logits(step.features, step), half)


class OfRows(SoftmaxCrossEntropy):
    """Cross-entropy that shrinks with the weights, as a loss may that reads its rows."""

    reads_rows = True

    def forward(self, logits: Tensor, labels: Tensor, rows: Rows | None = None) -> Tensor:
        assert rows is not None
        assert len(rows.features) == len(labels)
        self.added = rows.added
        return super().forward(logits, labels) + rows.predictor.weight.detach().norm()

    def observe(self, logits: Tensor, labels: Tensor, rows: Rows | None = None) -> None:
        assert rows is not None
        self.observed = len(rows.features)


def test_a_loss_that_reads_rows_is_given_them():
    loss = OfRows(C)
    classifier = Classifier(D, loss, Twice())
    (step,) = steps(1)
    value = classifier.loss(step)
    assert (loss.added, loss.observed) == (2, 14)
    rows = torch.cat((step.features, step.features[:2]))
    plain = SoftmaxCrossEntropy(C)(
        classifier.predictor(rows), torch.cat((step.labels, step.labels[:2]))
    )
    torch.testing.assert_close(value, plain + classifier.predictor.weight.norm())


def test_what_adds_rows_observes_the_step_after_its_loss():
    class Watching(Twice):
        def observe(self, logits, labels, rows):
            assert not logits.requires_grad
            self.seen = logits, labels, rows.added

    more = Watching()
    classifier = Classifier(D, SoftmaxCrossEntropy(C), more)
    (step,) = steps(1)
    classifier.loss(step)
    logits, labels, added = more.seen
    assert (len(logits), len(labels), added) == (14, 14, 2)
    del more.seen
    classifier.eval().loss(step)
    assert not hasattr(more, "seen")


def test_added_rows_with_a_weight_have_a_loss_of_their_own():
    more = Twice()
    more.weight = 0.1
    classifier = Classifier(D, SoftmaxCrossEntropy(C), more)
    (step,) = steps(1)
    logits = classifier.predictor(step.features)
    first, both = classifier.criterion(logits, step.labels), classifier.loss(step)
    added = classifier.criterion(logits[:2], step.labels[:2])
    torch.testing.assert_close(both, first + 0.1 * added)
