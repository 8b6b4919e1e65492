import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bacl.losses import AREA, Rows
from tests.levels import training_level

C, D = 3, 4


def step(labels: list[int], seed: int = 0) -> tuple[Tensor, Tensor, Rows]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.rand(len(labels), D, generator=generator)
    level = training_level(features, torch.tensor(labels))
    logits = torch.randn(len(labels), C + 1, generator=generator)
    return logits, level.labels, Rows(features, nn.Identity(), level, 0)


def plain_area(features: Tensor, mean: Tensor) -> float:
    """1 / (aᵀ R a) with a = 1 / n, as it is written."""
    n = len(features)
    if n == 1:
        return 1.0
    centred = [feature - mean for feature in features.double()]
    total = sum(float(a @ b / (a.norm() * b.norm())) / n**2 for a in centred for b in centred)
    return min(1 / total, n**2)


def test_weights_are_the_inverse_areas_around_the_means_of_the_epoch_before():
    loss = AREA(C, D, deferred=0.5)
    epochs = [
        [step([0, 0, 1, C], 1), step([0, 1, 1, C], 2)],
        [step([0, 0, 0, 1, 1, C], 3), step([0, 0, 1, 2], 4)],
    ]
    for number, steps in enumerate(epochs):
        loss.begin_epoch(number, 4)
        for logits, labels, rows in steps:
            loss.observe(logits, labels, rows=rows)
    loss.begin_epoch(2, 4)
    features = torch.cat([rows.features for _, _, rows in epochs[0]])
    labels = torch.cat([labels for _, labels, _ in epochs[0]])
    means = [features[labels == c].double().mean(dim=0) for c in range(2)]
    areas = [
        sum(plain_area(rows.features[own == c], means[c]) for _, own, rows in epochs[1])
        for c in range(2)
    ]
    inverse = torch.tensor([1 / areas[0], 1 / areas[1], 1.0]).double()  # none known of class 2
    expected = torch.cat((inverse / inverse.mean(), torch.ones(1).double()))
    torch.testing.assert_close(loss.weights, expected)
    logits, labels, rows = step([0, 1, 2, C], 5)
    weighted = functional.cross_entropy(
        logits, labels, loss.weights.float(), reduction="sum"
    ) / len(labels)
    torch.testing.assert_close(loss(logits, labels, rows), weighted)
    assert not torch.isclose(weighted, functional.cross_entropy(logits, labels))


@pytest.mark.parametrize(
    ("deferred", "epoch", "weighted"), [(0.8, 9, 0), (0.8, 10, 1), (1.0, 12, 0)]
)
def test_weights_set_in_after_their_share_of_the_epochs(deferred, epoch, weighted):
    loss = AREA(C, D, deferred)
    loss.begin_epoch(epoch, 12)
    loss.weights = torch.tensor([3.0, 0, 0, 1]).double()
    logits, labels, rows = step([0, 1, C])
    plain = functional.cross_entropy(logits, labels)
    assert torch.isclose(loss(logits, labels, rows), plain) == (not weighted)


def test_the_first_epochs_weights_are_equal_and_nothing_is_made_of_them():
    loss = AREA(C, D, deferred=0.0)
    loss.begin_epoch(0, 4)
    loss.observe(*step([0, 0, 1])[:2], rows=step([0, 0, 1])[2])
    loss.begin_epoch(1, 4)
    assert loss.weights.tolist() == [1, 1, 1, 1]
    assert loss.known.tolist() == [True, True, False]
    assert loss.counts.tolist() == [0, 0, 0]


def test_only_objects_own_boxes_count():
    loss, (logits, labels, rows) = AREA(C, D, deferred=0.0), step([0, 0, 1, C])
    rows.level.rois.sources[1] = 7  # a proposal
    loss.observe(logits, labels, rows=rows)
    assert loss.counts.tolist() == [1, 1, 0]
    torch.testing.assert_close(loss.totals[0].float(), rows.features[0])


def test_opposed_features_fill_no_more_than_the_square_of_their_number():
    loss, (logits, labels, rows) = AREA(C, D, deferred=0.0), step([0, 0])
    loss.means[0] = rows.features.double().mean(dim=0)
    loss.known[0] = True
    loss.observe(logits, labels, rows=rows)
    assert loss.areas.tolist() == [4.0, 0.0, 0.0]


def test_it_is_told_again_and_goes_on_from_a_checkpoint():
    loss, resumed = AREA(C, D, deferred=0.5), AREA(C, D, deferred=0.5)
    for number in range(2):
        loss.begin_epoch(number, 4)
        logits, labels, rows = step([0, 0, 1, C], number)
        loss.observe(logits, labels, rows=rows)
    resumed.load_state_dict(loss.state_dict())
    for _ in range(2):
        resumed.begin_epoch(1, 4)
    for each in (loss, resumed):
        each.observe(logits, labels, rows=rows)
        each.begin_epoch(2, 4)
    torch.testing.assert_close(resumed.state_dict(), loss.state_dict(), rtol=0, atol=0)
    assert resumed.weighted
