"""What DropLoss does beyond the common contract."""

from types import SimpleNamespace

import pytest
import torch

from bacl.losses import EQL, GOL, DropLoss
from tests.losses.counts import COUNTS

C = 4


def build(tail: float = 0.01, seed: int = 0) -> DropLoss:
    return DropLoss(C, 0.001, tail, COUNTS, seed)  # classes 2 and 3 are the tail


@pytest.mark.parametrize(
    ("labels", "share"),
    [([0, 2, 3, 1, C, C], 0.5), ([2, 3], 1.0), ([0, 1, C], 0.0), ([C, C], 1.0), ([], 1.0)],
)
def test_the_share_is_of_the_tail_among_foreground_rows(labels, share):
    labels = torch.tensor(labels, dtype=torch.int64)
    assert build().share(labels) == share


def test_foreground_rows_are_those_of_eql():
    labels = torch.arange(C)
    expected = EQL(C, 0.001, 0.01, COUNTS).kept(labels)
    assert torch.equal(build().kept(labels), expected)
    assert expected.tolist() == [
        [True, True, False, False],
        [True, True, False, False],
        [True, True, True, False],
        [True, True, False, True],
    ]


def test_background_rows_keep_the_tail_as_often_as_it_occurs():
    loss = build()
    labels = torch.cat((torch.tensor([2, 0, 1, 0]), torch.full((20_000,), C)))
    kept = loss.kept(labels)[4:]
    assert kept[:, :2].all()
    torch.testing.assert_close(
        kept[:, 2:].float().mean(0), torch.full((2,), 0.25), rtol=0, atol=0.02
    )
    assert not torch.equal(kept[:, 2], kept[:, 3])
    assert torch.equal(loss.kept(labels)[4:], kept)
    loss.observe(torch.zeros(len(labels), C), labels)
    assert not torch.equal(loss.kept(labels)[4:], kept)


def test_a_class_in_as_many_images_as_the_bound_is_not_of_the_tail():
    assert build(tail=0.0025).tail.tolist() == [False, False, False, True]
    assert build(tail=0.00251).tail.tolist() == [False, False, True, True]


@pytest.mark.parametrize("loss", [EQL, DropLoss, GOL])
def test_the_tail_of_100_images_is_the_published_share_on_lvis_v05(loss):
    classes = 200
    counts = SimpleNamespace(image_counts=list(range(classes)), num_annotated=56_740)
    options = {"num_classes": classes, "statistics": counts}
    options |= {} if loss is GOL else {"prior": 0.001}
    options |= {} if loss is EQL else {"seed": 0}
    tail = loss(tail=None, **options).tail
    assert tail.tolist() == [images <= 100 for images in range(classes)]
    assert torch.equal(tail, loss(tail=0.00177, **options).tail)


def test_the_tail_of_100_images_does_not_depend_on_how_many_there_are():
    few = SimpleNamespace(image_counts=[90, 100, 101, 250], num_annotated=300)
    assert EQL(C, 0.001, None, few).tail.tolist() == [True, True, False, False]
    assert not EQL(C, 0.001, 0.00177, few).tail.any()


def share_on(rank: int) -> torch.Tensor:
    labels = torch.tensor([[0, 2, 1, C], [C, C, C, C]])
    loss = build()
    return torch.stack([loss.share(labels[rank]), loss.share(labels[1 - rank])])


def test_the_share_is_that_of_all_processes(two_processes):
    expected = torch.full((2,), 1 / 3)
    for shares in two_processes(share_on):
        torch.testing.assert_close(shares, expected)
