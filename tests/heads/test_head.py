import copy

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor

from bacl.cascade_head import CascadeHead
from bacl.hallucination import FeatureHallucination, jittered_sums
from bacl.heads import ClassifierHead, classifiers_by_name
from bacl.indicators import ConfusionMatrix
from bacl.jobs.build import build_classifier
from bacl.losses import FCBL, BinaryCrossEntropyWithObjectness, SoftmaxCrossEntropy

C, D, ROWS = 5, 8, (12, 9, 14)
STAGES = ("first", "second", "third")
WEIGHTS = (1.0, 0.5, 0.25)


def bacl(seed: int = 0) -> ClassifierHead:
    hallucination = FeatureHallucination(C, D, categories=3, samples=4, beta=0.9, seed=seed)
    loss = FCBL(C, 0.001, ConfusionMatrix(C), alpha=0.85, threshold=0.7)
    return ClassifierHead(D, loss, hallucination, seed=seed)


def bce(seed: int = 0) -> ClassifierHead:
    return ClassifierHead(D, BinaryCrossEntropyWithObjectness(C, 0.001), seed=seed)


def cascade(make=bacl) -> CascadeHead:
    classifiers = {name: make(seed) for seed, name in enumerate(STAGES)}
    return CascadeHead(classifiers, dict(zip(STAGES, WEIGHTS, strict=True)))


def steps(count: int = 3) -> list[tuple[tuple[Tensor, ...], tuple[Tensor, ...], tuple]]:
    """Per stage features and labels, and sums of the features of the same jittered boxes."""
    generator = torch.Generator().manual_seed(0)

    def step():
        features = tuple(torch.rand(rows, D, generator=generator) for rows in ROWS)
        labels = tuple(torch.randint(C + 1, (rows,), generator=generator) for rows in ROWS)
        jittered = tuple(torch.rand(32, D, generator=generator) for _ in ROWS)
        owners = torch.randint(C, (2,), generator=generator).repeat_interleave(16)
        return features, labels, jittered_sums(jittered, owners, C)

    return [step() for _ in range(count)]


@pytest.mark.parametrize("make", [bacl, bce])
def test_it_is_three_classifiers_that_know_nothing_of_each_other(make):
    """Losses, gradients and statistics of every stage are those of a classifier of its own."""
    head, alone = cascade(make), [make(seed) for seed in range(3)]
    for features, labels, jittered in steps():
        losses = [
            single.loss(features[n], labels[n], jittered[n]) for n, single in enumerate(alone)
        ]
        total = sum(weight * loss for weight, loss in zip(WEIGHTS, losses, strict=True))
        value = head.loss(features, labels, jittered)
        torch.testing.assert_close(value, total)
        value.backward()
        total.backward()
        for (_, classifier), single in zip(head.named_classifiers(), alone, strict=True):
            assert torch.equal(classifier.predictor.weight.grad, single.predictor.weight.grad)
    for (_, classifier), single in zip(head.named_classifiers(), alone, strict=True):
        torch.testing.assert_close(classifier.state_dict(), single.state_dict(), rtol=0, atol=0)


def test_probabilities_are_those_of_the_mean_logits():
    head = cascade(bce)
    features = tuple(torch.randn(6, D) * 4 for _ in STAGES)
    logits = sum(
        classifier.predictor(rows)
        for (_, classifier), rows in zip(head.named_classifiers(), features, strict=True)
    )
    scores = (logits / 3).sigmoid()
    expected = scores[:, :C] * (1 - scores[:, C:])
    probabilities = head.probabilities(features)
    torch.testing.assert_close(probabilities, torch.cat((expected, scores[:, C:]), 1))
    each = [
        c.probabilities(x) for (_, c), x in zip(head.named_classifiers(), features, strict=True)
    ]
    assert not torch.allclose(probabilities, torch.stack(each).mean(0))


def test_softmax_runs_over_the_mean_logits():
    head = cascade(lambda seed: ClassifierHead(D, SoftmaxCrossEntropy(C), seed=seed))
    features = tuple(torch.randn(4, D) for _ in STAGES)
    classifiers = [classifier for _, classifier in head.named_classifiers()]
    logits = [c.predictor(x) for c, x in zip(classifiers, features, strict=True)]
    torch.testing.assert_close(
        head.probabilities(features), torch.stack(logits).mean(0).softmax(dim=1)
    )


def test_equal_stages_are_one_classifier():
    head, single = cascade(lambda seed: bce()), bce()
    features = torch.rand(4, D)
    torch.testing.assert_close(head.probabilities((features,) * 3), single.probabilities(features))


def test_no_regions():
    head = cascade()
    none = torch.zeros(0, dtype=torch.int64)
    empty = (torch.zeros(0, D),) * 3
    head.loss(empty, (none,) * 3, jittered_sums(empty, none, C)).backward()
    assert not any(p.grad.any() for p in head.parameters())
    assert head.probabilities(empty).shape == (0, C + 1)


def test_what_it_needs_and_refuses():
    assert cascade().needs_jittered
    head = cascade(bce)
    assert not head.needs_jittered
    features, labels, *_ = steps(1)[0]
    assert head.loss(features, labels).isfinite()
    with pytest.raises(ValueError, match="pass jittered"):
        cascade().loss(features, labels)
    with pytest.raises(ValueError, match=r"zip\(\)"):
        head.loss(features[:2], labels[:2])


def test_evaluation_changes_nothing():
    head = cascade()
    head.loss(*steps(1)[0])
    head.eval()
    before = copy.deepcopy(head.state_dict())
    features, labels, *_ = steps(1)[0]
    head.loss(features, labels)
    head.probabilities(tuple(x[:4] for x in features))
    torch.testing.assert_close(head.state_dict(), before, rtol=0, atol=0)


def test_a_resumed_head_continues_bit_for_bit():
    straight, resumed = cascade(), cascade()
    for step in steps(2):
        straight.loss(*step)
    resumed.load_state_dict(straight.state_dict())
    step = steps(3)[2]
    assert torch.equal(straight.loss(*step), resumed.loss(*step))
    torch.testing.assert_close(resumed.state_dict(), straight.state_dict(), rtol=0, atol=0)


def test_it_uses_no_global_generator():
    before = torch.get_rng_state()
    head = cascade()
    for step in steps():
        head.loss(*step)
    assert torch.equal(torch.get_rng_state(), before)


def test_probabilities_are_float32_under_autocast():
    head = cascade()
    with torch.autocast("cpu", torch.bfloat16):
        value = head.loss(*steps(1)[0])
        probabilities = head.probabilities(tuple(torch.rand(4, D) for _ in STAGES))
    assert value.dtype == probabilities.dtype == torch.float32


def test_classifiers_are_listed_alike_for_every_head():
    single, three = bacl(), cascade()
    listed = classifiers_by_name({"bacl": single, "deep": three})
    assert list(listed) == ["bacl", "deep.first", "deep.second", "deep.third"]
    assert listed["bacl"] is single
    for prefix, classifier in three.named_classifiers():
        assert f"{prefix}predictor.weight" in three.state_dict()
        assert classifier in listed.values()


OPTIONS = {
    "_target_": "bacl.heads.ClassifierHead",
    "feature_dim": D,
    "seed": "${seed}",
    "loss": {
        "_target_": "bacl.losses.fcbl.FCBL", "num_classes": C, "prior": 0.001,
        "alpha": 0.85, "threshold": 0.7,
        "indicator": {"_target_": "bacl.indicators.ConfusionMatrix", "num_classes": C},
    },
    "hallucination": {
        "_target_": "bacl.hallucination.FeatureHallucination", "num_classes": C, "feature_dim": D,
        "categories": 3, "samples": 4, "beta": 0.9, "seed": 7,
    },
}  # fmt: skip


def test_no_two_stages_draw_alike_and_the_first_as_without_a_cascade():
    config = OmegaConf.create({"seed": 3, "head": OPTIONS})
    built = [build_classifier(config.head, number) for number in range(3)]
    assert torch.equal(built[0].predictor.weight, bacl(3).predictor.weight)
    assert built[0].hallucination.seed == 7
    for other in (built[1], built[2]):
        assert not torch.equal(built[0].predictor.weight, other.predictor.weight)
    assert len({classifier.hallucination.seed for classifier in built}) == 3
    again = build_classifier(config.head, 2)
    assert torch.equal(built[2].predictor.weight, again.predictor.weight)
    assert config.head.seed == 3


def test_options_reach_every_stage():
    changed = OmegaConf.create({"seed": 0, "head": OPTIONS})
    changed.head.loss.alpha = 0.4
    built = [build_classifier(changed.head, number) for number in range(3)]
    assert [classifier.criterion.alpha for classifier in built] == [0.4] * 3
    indicators = [classifier.criterion.indicator for classifier in built]
    assert len({id(indicator) for indicator in indicators}) == 3
