"""Of a confusion matrix's rows the largest entries, and that nothing as large as it is made."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bacl.indicators import ConfusionMatrix, SparseConfusionMatrix
from bacl.losses import FCBL, PCB

C = 40


def steps(number: int, rows: int = 30, classes: int = C):
    draws = torch.Generator().manual_seed(0)
    for _ in range(number):
        labels = torch.randint(classes + 1, (rows,), generator=draws)
        logits = 3 * torch.randn(rows, classes + 1, generator=draws)
        logits[:, :5] += 4  # some classes are what the others are taken for
        yield logits, labels


def both(kept: int, number: int = 12) -> tuple[ConfusionMatrix, SparseConfusionMatrix]:
    whole, sparse = ConfusionMatrix(C), SparseConfusionMatrix(C, kept)
    for step in steps(number):
        whole.observe(*step)
        sparse.observe(*step)
    return whole, sparse


def test_what_has_no_place_lowers_what_is_kept():
    sparse = SparseConfusionMatrix(4, kept=1)
    logits = torch.tensor([[0.4, 0.3, 0.2, 0.1, 9.0]]).log()
    sparse.observe(logits, torch.tensor([0]))
    # Of 0.3, 0.2 and 0.1 the first is kept, less the second, with which it is read.
    torch.testing.assert_close(sparse.sums[0], torch.tensor([0.1]))
    torch.testing.assert_close(sparse.rows(torch.tensor([0])), torch.tensor([[0.4, 0.3, 0, 0]]))
    assert sparse.error().tolist() == pytest.approx([0.2, 0, 0, 0])
    # Again 0.3: with the 0.1 of before it is 0.4, the next is still 0.2.
    sparse.observe(logits, torch.tensor([0]))
    torch.testing.assert_close(sparse.sums[0], torch.tensor([0.2]))
    torch.testing.assert_close(sparse.rows(torch.tensor([0])), torch.tensor([[0.4, 0.3, 0, 0]]))
    ratio = sparse.log_ratio(torch.tensor([0, 1, 0]))
    expected = torch.tensor([300.0, 1, 1]).log()
    torch.testing.assert_close(ratio[:, 1:][[0, 2]], expected.expand(2, 3))
    torch.testing.assert_close(ratio[1], torch.tensor([1 / 300, 1, 1, 1]).log())


def test_what_comes_late_takes_the_place_of_what_does_not_come_again():
    sparse = SparseConfusionMatrix(4, kept=1)
    sparse.observe(torch.tensor([[0.5, 0.5, 0.0, 0.0]]).log(), torch.tensor([0]))
    for _ in range(3):
        sparse.observe(torch.tensor([[0.5, 0.0, 0.5, 0.0]]).log(), torch.tensor([0]))
    # 0.5 of class 1 is outweighed by the first 0.5 of class 2, and two more are kept. In truth the
    # entry of class 2 is 1.5 / 4, of class 1 0.5 / 4: as it is read, with the 0.5 of the row.
    torch.testing.assert_close(sparse.rows(torch.tensor([0])), torch.tensor([[0.5, 0, 0.375, 0]]))
    assert sparse.error()[0].item() == 0.125


@pytest.mark.parametrize("kept", [C - 1, 1000])
def test_with_all_entries_it_is_the_whole_matrix(kept):
    whole, sparse = both(kept)
    every = torch.arange(C)
    torch.testing.assert_close(sparse.rows(every), whole.matrix(), rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(sparse.log_ratio(every), whole.log_ratio(every), rtol=0, atol=1e-5)
    torch.testing.assert_close(sparse.error(), torch.zeros(C).double(), rtol=0, atol=1e-8)


@pytest.mark.parametrize("kept", [1, 6, 20])
def test_entries_are_wrong_by_no_more_than_is_said(kept):
    whole, sparse = both(kept)
    every = torch.arange(C)
    wrong = (whole.matrix().double() - sparse.rows(every)).abs()
    assert (wrong.amax(dim=1) <= sparse.error() + 1e-7).all()
    assert (sparse.error() < 1 / (kept + 1)).all()
    assert wrong.max() > 1e-3  # there was something to lose
    assert torch.equal(sparse.strength(), whole.strength())


def test_a_sample_of_few_classes_loses_nothing():
    whole, sparse = ConfusionMatrix(C), SparseConfusionMatrix(C, kept=3)
    logits = torch.full((2, C + 1), -200.0)
    logits[0, :4], logits[1, 1:5] = 0.0, torch.arange(4.0)
    for indicator in (whole, sparse):
        indicator.observe(logits, torch.tensor([0, 2]))
    every = torch.arange(C)
    torch.testing.assert_close(sparse.rows(every), whole.matrix())
    torch.testing.assert_close(sparse.log_ratio(every), whole.log_ratio(every))


def test_late_in_a_training_sums_still_grow():
    """After 10^7 rows of a class, of which a step has 20: float32 has four digits left for them."""
    sparse = SparseConfusionMatrix(3, kept=2)
    sparse.counts[0], sparse.own[0] = 10_000_000, 5e6
    sparse.columns[0], sparse.sums[0] = torch.tensor([1, 2]), torch.tensor([3e6, 2e6])
    draws, whole = torch.Generator().manual_seed(0), torch.zeros(3, dtype=torch.float64)
    for _ in range(500):
        logits = torch.randn(20, 4, generator=draws)
        sparse.observe(logits, torch.zeros(20, dtype=torch.int64))
        whole += logits[:, :3].softmax(dim=1).double().sum(dim=0)
    grown = sparse.sums[0].double() - torch.tensor([3e6, 2e6])
    torch.testing.assert_close(grown, whole[1:], rtol=2e-3, atol=0)


def test_all_kept_entries_are_looked_through_in_parts(monkeypatch):
    _, sparse = both(kept=6)
    labels = torch.tensor([3, 0, 3, 39])
    at_once = sparse.log_ratio(labels)
    monkeypatch.setattr("bacl.indicators.sparse_confusion.LOOKED_UP", 50)
    assert torch.equal(sparse.log_ratio(labels), at_once)


def test_one_class_is_never_confused():
    sparse = SparseConfusionMatrix(1, kept=1024)
    sparse.observe(torch.zeros(3, 2), torch.tensor([0, 1, 0]))
    assert sparse.strength().tolist() == [1]
    assert sparse.log_ratio(torch.tensor([0])).tolist() == [[0]]


def held(indicator) -> int:
    return sum(each.numel() * each.element_size() for each in indicator.buffers())


def test_13204_classes_are_81_megabytes_in_place_of_1400():
    with torch.device("meta"):
        sparse, whole = SparseConfusionMatrix(13_204, 1024), ConfusionMatrix(13_204)
        many = SparseConfusionMatrix(40_000, 1024)
    assert held(sparse) < 82e6
    assert held(whole) > 1.39e9
    assert many.columns.dtype == torch.int32  # in 16 bits 40,000 would be negative


class Largest(TorchDispatchMode):
    """While it is entered, the elements of the largest tensor that is made."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        in_place = any(made is each for each in args)
        if isinstance(made, torch.Tensor) and not func.is_view and not in_place:
            self.elements = max(self.elements, made.numel())
        return made


def pcb() -> PCB:
    loss = PCB(300, 0.5, 0.9, deferred=0.0)
    loss.begin_epoch(0, 1)
    return loss


LOSSES = {
    "confusion matrix": lambda: FCBL(300, 0.001, ConfusionMatrix(300), 0.85, 0.7),
    "sparse": lambda: FCBL(300, 0.001, SparseConfusionMatrix(300, 64), 0.85, 0.7),
    "pcb": pcb,
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_step_makes_nothing_as_large_as_the_matrix(name):
    loss = LOSSES[name]()
    logits, labels = next(steps(1, rows=20, classes=300))
    with Largest() as largest:
        loss(logits, labels)
        loss.observe(logits, labels)
    assert 300 <= largest.elements <= 300 * 64
