import copy

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor

from bacl.assembly.build import build_classifier
from bacl.detectors.levels import Level, TrainingLevel
from bacl.heads import (
    BoxGenerator,
    Calibration,
    Classifier,
    FeatureHallucination,
    Head,
    classifiers_by_name,
)
from bacl.indicators import ConfusionMatrix
from bacl.losses import FCBL, BinaryCrossEntropyWithObjectness, SoftmaxCrossEntropy
from bacl.options.composed import plain
from tests.levels import level, training_level

C, D, ROWS = 5, 8, (12, 9, 14)
LEVELS = ("first", "second", "third")
WEIGHTS = (1.0, 0.5, 0.25)


def bacl(seed: int = 0) -> Classifier:
    hallucination = FeatureHallucination(C, D, categories=3, samples=4, beta=0.9, seed=seed)
    loss = FCBL(C, 0.001, ConfusionMatrix(C), alpha=0.85, threshold=0.7)
    return Classifier(D, loss, hallucination, seed=seed)


def bce(seed: int = 0) -> Classifier:
    return Classifier(D, BinaryCrossEntropyWithObjectness(C, 0.001), seed=seed)


def cascade(make=bacl) -> Head:
    classifiers = {name: make(seed) for seed, name in enumerate(LEVELS)}
    return Head(classifiers, dict(zip(LEVELS, WEIGHTS, strict=True)))


def steps(count: int = 3) -> list[list[TrainingLevel]]:
    """Per level features and labels, and features of the same jittered boxes."""
    generator = torch.Generator().manual_seed(0)

    def step():
        features = tuple(torch.rand(rows, D, generator=generator) for rows in ROWS)
        labels = tuple(torch.randint(C + 1, (rows,), generator=generator) for rows in ROWS)
        jittered = tuple(torch.rand(32, D, generator=generator) for _ in ROWS)
        owners = torch.randint(C, (2,), generator=generator).repeat_interleave(16)
        rows = zip(features, labels, jittered, strict=True)
        return [training_level(x, y, (extra, owners), background=C) for x, y, extra in rows]

    return [step() for _ in range(count)]


@pytest.mark.parametrize("make", [bacl, bce])
def test_it_is_three_classifiers_that_know_nothing_of_each_other(make):
    """Losses, gradients and statistics of every level are those of a classifier of its own."""
    head, alone = cascade(make), [make(seed) for seed in range(3)]
    for step, same in zip(steps(), steps(), strict=True):
        losses = [single.loss(own) for single, own in zip(alone, same, strict=True)]
        total = sum(weight * loss for weight, loss in zip(WEIGHTS, losses, strict=True))
        value = head.loss(step)
        torch.testing.assert_close(value, total)
        value.backward()
        total.backward()
        for (_, classifier), single in zip(head.named_classifiers(), alone, strict=True):
            assert torch.equal(classifier.predictor.weight.grad, single.predictor.weight.grad)
    for (_, classifier), single in zip(head.named_classifiers(), alone, strict=True):
        torch.testing.assert_close(classifier.state_dict(), single.state_dict(), rtol=0, atol=0)


def levels(features: tuple[Tensor, ...]) -> list[Level]:
    return [level(rows) for rows in features]


def test_scores_are_those_of_the_mean_logits():
    head = cascade(bce)
    features = tuple(torch.randn(6, D) * 4 for _ in LEVELS)
    logits = sum(
        classifier.predictor(rows)
        for (_, classifier), rows in zip(head.named_classifiers(), features, strict=True)
    )
    scores = (logits / 3).sigmoid()
    expected = scores[:, :C] * (1 - scores[:, C:])
    probabilities = head.scores(levels(features))
    torch.testing.assert_close(probabilities, torch.cat((expected, scores[:, C:]), 1))
    each = [
        c.scores(c.predictor(x), level(x))
        for (_, c), x in zip(head.named_classifiers(), features, strict=True)
    ]
    assert not torch.allclose(probabilities, torch.stack(each).mean(0))


class ByFeature(Calibration):
    """Scores times what the level's first feature says."""

    def forward(self, logits: Tensor, probabilities, level: Level) -> Tensor:
        return probabilities(logits) * level.features[:, :1].sigmoid()


def test_calibration_sees_the_last_level_and_the_mean_logits():
    loss = BinaryCrossEntropyWithObjectness(C, 0.001)
    head = cascade(lambda seed: Classifier(D, loss, calibration=ByFeature(), seed=seed))
    features = tuple(torch.randn(6, D) for _ in LEVELS)
    rows = zip(head.classifiers, features, strict=True)
    mean = torch.stack([classifier.predictor(own) for classifier, own in rows]).mean(0)
    expected = loss.probabilities(mean) * features[-1][:, :1].sigmoid()
    torch.testing.assert_close(head.scores(levels(features)), expected)


def test_softmax_runs_over_the_mean_logits():
    head = cascade(lambda seed: Classifier(D, SoftmaxCrossEntropy(C), seed=seed))
    features = tuple(torch.randn(4, D) for _ in LEVELS)
    classifiers = [classifier for _, classifier in head.named_classifiers()]
    logits = [c.predictor(x) for c, x in zip(classifiers, features, strict=True)]
    torch.testing.assert_close(
        head.scores(levels(features)), torch.stack(logits).mean(0).softmax(dim=1)
    )


def test_equal_levels_are_one_classifier():
    head, single = cascade(lambda seed: bce()), Head({"first": bce()}, {"first": 1.0})
    one = level(torch.rand(4, D))
    torch.testing.assert_close(head.scores([one] * 3), single.scores([one]))


def test_no_regions():
    head = cascade()
    none = torch.zeros(0, dtype=torch.int64)
    empty = torch.zeros(0, D)
    head.loss([training_level(empty, none, (empty, none)) for _ in LEVELS]).backward()
    assert not any(p.grad.any() for p in head.parameters())
    assert head.scores(levels((empty,) * 3)).shape == (0, C + 1)


def test_what_it_needs_and_refuses():
    assert cascade().extra_boxes == BoxGenerator()
    head = cascade(bce)
    assert head.extra_boxes is None
    step = steps(1)[0]
    assert head.loss(step).isfinite()
    with pytest.raises(ValueError, match=r"zip\(\)"):
        head.loss(step[:2])


def test_evaluation_changes_nothing():
    head = cascade()
    head.loss(steps(1)[0])
    head.eval()
    before = copy.deepcopy(head.state_dict())
    step = steps(1)[0]
    head.loss(step)
    head.scores(levels(tuple(own.features[:4] for own in step)))
    torch.testing.assert_close(head.state_dict(), before, rtol=0, atol=0)


def test_a_resumed_head_continues_bit_for_bit():
    straight, resumed = cascade(), cascade()
    for step in steps(2):
        straight.loss(step)
    resumed.load_state_dict(straight.state_dict())
    step = steps(3)[2]
    assert torch.equal(straight.loss(step), resumed.loss(step))
    torch.testing.assert_close(resumed.state_dict(), straight.state_dict(), rtol=0, atol=0)


def test_it_uses_no_global_generator():
    before = torch.get_rng_state()
    head = cascade()
    for step in steps():
        head.loss(step)
    assert torch.equal(torch.get_rng_state(), before)


def test_scores_are_float32_under_autocast():
    head = cascade()
    with torch.autocast("cpu", torch.bfloat16):
        value = head.loss(steps(1)[0])
        probabilities = head.scores(levels(tuple(torch.rand(4, D) for _ in LEVELS)))
    assert value.dtype == probabilities.dtype == torch.float32


def test_classifiers_are_listed_alike_for_every_head():
    single, three = bacl(), cascade()
    one = Head({"first": single}, {"first": 1.0})
    listed = classifiers_by_name({"bacl": one, "deep": three})
    assert list(listed) == ["bacl", "deep.first", "deep.second", "deep.third"]
    assert listed["bacl"] is single
    for prefix, classifier in three.named_classifiers():
        assert f"{prefix}predictor.weight" in three.state_dict()
        assert classifier in listed.values()


OPTIONS = {
    "_target_": "bacl.heads.Classifier",
    "feature_dim": D,
    "seed": "${seed}",
    "loss": {
        "_target_": "bacl.losses.fcbl.FCBL", "num_classes": C, "prior": 0.001,
        "alpha": 0.85, "threshold": 0.7,
        "indicator": {"_target_": "bacl.indicators.ConfusionMatrix", "num_classes": C},
    },
    "hallucination": {
        "_target_": "bacl.heads.FeatureHallucination", "num_classes": C, "feature_dim": D,
        "categories": 3, "samples": 4, "beta": 0.9, "seed": 7,
    },
}  # fmt: skip


def test_no_two_levels_draw_alike_and_the_first_as_without_a_cascade():
    config = OmegaConf.create({"seed": 3, "head": OPTIONS})
    built = [build_classifier(plain(config.head), number) for number in range(3)]
    assert torch.equal(built[0].predictor.weight, bacl(3).predictor.weight)
    assert built[0].hallucination.seed == 7
    for other in (built[1], built[2]):
        assert not torch.equal(built[0].predictor.weight, other.predictor.weight)
    assert len({classifier.hallucination.seed for classifier in built}) == 3
    again = build_classifier(plain(config.head), 2)
    assert torch.equal(built[2].predictor.weight, again.predictor.weight)
    assert config.head.seed == 3


def test_options_reach_every_level():
    changed = OmegaConf.create({"seed": 0, "head": OPTIONS})
    changed.head.loss.alpha = 0.4
    built = [build_classifier(plain(changed.head), number) for number in range(3)]
    assert [classifier.criterion.alpha for classifier in built] == [0.4] * 3
    indicators = [classifier.criterion.indicator for classifier in built]
    assert len({id(indicator) for indicator in indicators}) == 3
