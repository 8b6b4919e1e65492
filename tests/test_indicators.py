import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bacl.indicators import (
    ConfusionMatrix,
    CumulativeInstances,
    Foreground,
    HardConfusionMatrix,
    ImageFrequency,
    InstanceFrequency,
    MeanScore,
    SparseConfusionMatrix,
    TruePositiveRate,
)

C = 3
STATISTICS = SimpleNamespace(
    image_counts=np.array([1000, 50, 5]), instance_counts=np.array([4000, 80, 0]), num_images=2000
)
DYNAMIC = {
    "cumulative_instances": lambda: CumulativeInstances(C),
    "mean_score": lambda: MeanScore(C, gamma=0.9, initial=0.01),
    "true_positive_rate": lambda: TruePositiveRate(C),
    "confusion_matrix": lambda: ConfusionMatrix(C),
    "hard_confusion_matrix": lambda: HardConfusionMatrix(C),
    "sparse_confusion_matrix": lambda: SparseConfusionMatrix(C, kept=2),
}
INDICATORS = DYNAMIC | {
    "image_frequency": lambda: ImageFrequency(C, STATISTICS),
    "instance_frequency": lambda: InstanceFrequency(C, STATISTICS),
}


@pytest.fixture(params=INDICATORS)
def indicator(request):
    return INDICATORS[request.param]()


@pytest.fixture(params=DYNAMIC)
def dynamic(request):
    return DYNAMIC[request.param]()


def step(rows: int = 20, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(C + 1, (rows,), generator=generator)
    return 2 * torch.randn(rows, C + 1, generator=generator), labels


def test_log_ratio_is_antisymmetric_and_zero_for_the_own_class(indicator):
    indicator.observe(*step())
    ratios = indicator.log_ratio(torch.arange(C))
    assert ratios.shape == (C, C)
    assert ratios.dtype == torch.float32
    assert (ratios != 0).any()
    torch.testing.assert_close(ratios, -ratios.t())


def test_log_ratio_has_one_row_per_label(indicator):
    indicator.observe(*step())
    labels = torch.tensor([2, 0, 2, 1])
    expected = indicator.log_ratio(torch.arange(C))[labels]
    torch.testing.assert_close(indicator.log_ratio(labels), expected)
    assert indicator.log_ratio(torch.zeros(0, dtype=torch.int64)).shape == (0, C)


def test_strength_lies_between_zero_and_one(indicator):
    for seed in range(3):
        strength = indicator.strength()
        assert strength.shape == (C,)
        assert strength.dtype == torch.float32
        assert ((strength >= 0) & (strength <= 1)).all()
        indicator.observe(*step(seed=seed))


def test_stronger_classes_have_a_larger_ratio(indicator):
    # A classifier that says 0 mostly, on data that is mostly 0; class 2 is never right.
    logits = torch.tensor([[4.0, 2.0, 0.0, 0.0]] * 6 + [[0.0, 2.0, 0.0, 0.0], [4.0, 2.0, 0.0, 0.0]])
    indicator.observe(logits, torch.tensor([0, 0, 0, 0, 0, 0, 1, 2]))
    assert indicator.log_ratio(torch.tensor([2]))[0, 0] > 0


def test_background_rows_change_nothing(dynamic):
    dynamic.observe(*step())
    before = {name: value.clone() for name, value in dynamic.state_dict().items()}
    dynamic.observe(torch.randn(5, C + 1), torch.full((5,), C))
    torch.testing.assert_close(dynamic.state_dict(), before, rtol=0, atol=0)


def test_background_logit_has_no_part(dynamic):
    logits, labels = step()
    other = DYNAMIC[next(k for k, v in DYNAMIC.items() if type(v()) is type(dynamic))]()
    dynamic.observe(logits, labels)
    other.observe(logits[:, :C], labels)
    torch.testing.assert_close(dynamic.state_dict(), other.state_dict(), rtol=0, atol=0)


def test_order_of_rows_does_not_matter(dynamic):
    logits, labels = step(rows=200)
    dynamic.observe(logits, labels)
    strength = dynamic.strength()
    for value in dynamic.buffers():
        value.zero_()
    if isinstance(dynamic, MeanScore):
        dynamic.scores.fill_(0.01)
    order = torch.randperm(200)
    dynamic.observe(logits[order], labels[order])
    torch.testing.assert_close(dynamic.strength(), strength)


def test_image_frequency():
    indicator = ImageFrequency(C, STATISTICS)
    torch.testing.assert_close(indicator.strength(), torch.tensor([0.5, 0.025, 0.0025]))
    expected = torch.tensor([[math.log(1000 / 50), 0.0, math.log(5 / 50)]])
    torch.testing.assert_close(indicator.log_ratio(torch.tensor([1])), expected)


def test_instance_frequency_takes_an_absent_class_as_one_instance():
    indicator = InstanceFrequency(C, STATISTICS)
    torch.testing.assert_close(indicator.strength(), torch.tensor([4000 / 4080, 80 / 4080, 0.0]))
    expected = torch.tensor([[0.0, math.log(80 / 4000), math.log(1 / 4000)]])
    torch.testing.assert_close(indicator.log_ratio(torch.tensor([0])), expected)


@pytest.mark.parametrize("kind", [ImageFrequency, InstanceFrequency])
def test_static_indicators_take_tensors_and_ignore_training(kind):
    tensors = SimpleNamespace(
        image_counts=torch.tensor([1000, 50, 5]),
        instance_counts=torch.tensor([4000, 80, 0]),
        num_images=2000,
    )
    indicator = kind(C, tensors)
    indicator.observe(*step())
    assert torch.equal(indicator.strength(), kind(C, STATISTICS).strength())


def test_statistics_of_other_categories_are_refused():
    with pytest.raises(ValueError, match=r"statistics.image_counts has shape \(3,\)"):
        ImageFrequency(4, STATISTICS)


def test_cumulative_instances():
    indicator = CumulativeInstances(C)
    indicator.observe(torch.zeros(6, C + 1), torch.tensor([0, 0, 3, 1, 0, 3]))
    assert indicator.counts.tolist() == [3, 1, 0]
    torch.testing.assert_close(indicator.strength(), torch.tensor([0.75, 0.25, 0.0]))
    expected = torch.tensor([[0.0, math.log(1 / 3), math.log(1 / 3)]])
    torch.testing.assert_close(indicator.log_ratio(torch.tensor([0])), expected)


def test_mean_score_averages_a_step_then_moves_by_a_tenth():
    indicator = MeanScore(C, gamma=0.9, initial=0.01)
    logits = torch.tensor([[0.0, 9.0, 9.0, 9.0], [math.log(3), 9.0, 9.0, 9.0]])
    indicator.observe(logits, torch.tensor([0, 0]))
    # Two rows, with probability 1/2 and 3/4, make one update.
    expected = 0.9 * 0.01 + 0.1 * (0.5 + 0.75) / 2
    torch.testing.assert_close(indicator.strength(), torch.tensor([expected, 0.01, 0.01]))
    expected_ratio = torch.tensor([[math.log(expected / 0.01), 0.0, 0.0]])
    torch.testing.assert_close(indicator.log_ratio(torch.tensor([1])), expected_ratio)


def test_true_positive_rate():
    indicator = TruePositiveRate(C)
    logits = torch.tensor([[2.0, 1.0, 0.0, 9.0], [1.0, 2.0, 0.0, 0.0], [0.0, 1.0, 2.0, 0.0]])
    indicator.observe(logits, torch.tensor([0, 0, 2]))
    assert indicator.strength().tolist() == [0.5, 0.0, 1.0]
    ratio = indicator.log_ratio(torch.tensor([0]))[0]
    torch.testing.assert_close(ratio, torch.tensor([0.0, math.log(1e-3 / 0.5), math.log(2)]))


def test_confusion_matrix_of_two_steps():
    indicator = ConfusionMatrix(C)
    uniform = torch.zeros(1, C + 1)
    certain = torch.tensor([[0.0, 100.0, 0.0, 300.0]])
    indicator.observe(torch.cat([uniform, certain]), torch.tensor([0, 1]))
    indicator.observe(torch.cat([certain, uniform]), torch.tensor([0, 3]))
    third = 1 / 6
    expected = torch.tensor([[third, third + 0.5, third], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(indicator.matrix(), expected)
    torch.testing.assert_close(indicator.strength(), expected.diagonal())
    # M_01 = 2/3 against M_10 = 0, which enters as 0.001; M_02 = 1/6 against an unseen class.
    ratio = indicator.log_ratio(torch.tensor([0]))[0]
    expected = torch.tensor([0.0, math.log(2 / 3 * 1000), math.log(1000 / 6)])
    torch.testing.assert_close(ratio, expected)


def test_rows_of_the_confusion_matrix_sum_to_one():
    for indicator in (ConfusionMatrix(C), HardConfusionMatrix(C)):
        indicator.observe(*step(rows=60))
        torch.testing.assert_close(indicator.matrix().sum(dim=1), torch.ones(C))


def test_true_positive_rate_is_the_diagonal_of_the_hard_confusion_matrix():
    rate, hard = TruePositiveRate(C), HardConfusionMatrix(C)
    for seed in range(3):
        rate.observe(*step(seed=seed))
        hard.observe(*step(seed=seed))
    assert 0 < rate.strength().sum() < C
    torch.testing.assert_close(rate.strength(), hard.strength())


def test_sharp_logits_make_the_soft_matrix_hard():
    soft, hard = ConfusionMatrix(C), HardConfusionMatrix(C)
    logits, labels = step()
    soft.observe(1e6 * logits, labels)
    hard.observe(logits, labels)
    torch.testing.assert_close(soft.matrix(), hard.matrix())


def test_long_sums_do_not_stagnate():
    # In float32 an addend of a third is lost once a sum has passed 2^24.
    indicator = ConfusionMatrix(C)
    indicator.numerator.fill_(2.0**24)
    for _ in range(3):
        indicator.observe(torch.zeros(1, C + 1), torch.tensor([0]))
    added = indicator.numerator[0] - 2.0**24
    torch.testing.assert_close(added, torch.ones(C, dtype=torch.float64), rtol=0, atol=1e-6)


def test_published_class_probabilities_follow_from_the_matrix(shared):
    vectors = json.loads((shared / "methods_vectors.json").read_text())
    indicator = ConfusionMatrix(C)
    indicator.numerator.copy_(torch.tensor(vectors["FCBL_noreweight"]["cm"]).double())
    indicator.counts.fill_(1)
    weakness = 1 - indicator.strength()
    expected = torch.tensor(vectors["FHM_prob_before"]["prob"])
    torch.testing.assert_close(weakness / weakness.sum(), expected, rtol=0, atol=1e-6)


class Halved(ConfusionMatrix):
    """Says anew what it answers, by what it has inherited."""

    def log_ratio(self, labels: torch.Tensor) -> torch.Tensor:
        return super().log_ratio(labels) / 2

    def strength(self) -> torch.Tensor:
        return super().strength() / 2

    def observe(self, logits, labels, foreground=None):
        super().observe(2 * logits, labels, foreground)


def test_several_of_a_subclass_are_asked_what_it_says_anew():
    plain, halved, beside = ConfusionMatrix(C), Halved(C), Halved(C)
    logits, labels = step()
    plain.observe(2 * logits, labels)
    halved.observe(logits, labels)
    Halved.observe_together([beside], logits[None], labels[None], Foreground.among(labels, C))
    every = torch.arange(C)
    assert torch.equal(Halved.log_ratios([beside], every[None])[0], plain.log_ratio(every) / 2)
    assert torch.equal(Halved.strengths([halved])[0], plain.strength() / 2)
