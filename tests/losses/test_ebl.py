import torch
from torch import Tensor, nn

from bacl.detectors.levels import TrainingLevel
from bacl.losses import EquilibriumLoss, Rows
from tests.levels import training_level

C = 3


def of_step(level: TrainingLevel, added: int = 0) -> Rows:
    return Rows(level.features, nn.Identity(), level, added)


def scores_of(probability: list[float]) -> Tensor:
    """Logits (R, C + 1) of rows that give classes 0 to 2 this probability each in turn."""
    rest = [(1 - p) / C for p in probability]
    rows = [[q] * (C + 1) for q in rest]
    for number, (row, p) in enumerate(zip(rows, probability, strict=True)):
        row[number % C] = p
    return torch.tensor(rows).log()


def test_a_class_moves_once_for_each_of_its_objects():
    """Class 0 has two objects, of two RoIs and of one; the same index in two images is two."""
    loss = EquilibriumLoss(C, gamma=0.9, initial=0.01)
    logits = torch.tensor([0.2, 0.4, 0.6, 0.5]).unsqueeze(1)
    rest = ((1 - logits) / C).expand(-1, C)
    logits = torch.cat((logits, rest), dim=1).log()
    labels = torch.zeros(4, dtype=torch.int64)
    level = training_level(logits, labels, objects=torch.tensor([3, 3, 1, 3]))
    level.boxes = [torch.zeros(3, 4), torch.zeros(1, 4)]
    value = loss(logits, labels, of_step(level))
    loss.observe(logits, labels, rows=of_step(level))
    mean = ((0.2 + 0.4) / 2 + 0.6 + 0.5) / 3
    expected = 0.9**3 * 0.01 + (1 - 0.9**3) * mean
    torch.testing.assert_close(loss.indicator.scores, torch.tensor([expected, 0.01, 0.01]).double())
    margins = torch.tensor([expected, 0.01, 0.01, 0.01]).log()
    plain = nn.functional.cross_entropy(logits + margins, labels)
    torch.testing.assert_close(value, plain)  # by the scores with this step


def test_added_rows_are_one_object_for_each_class():
    loss = EquilibriumLoss(C, gamma=0.5, initial=0.01)
    real = scores_of([0.5])
    logits = torch.cat((real, scores_of([0.1, 0.4, 0.25]), scores_of([0.3, 0.2])))
    labels = torch.tensor([0, 0, 1, C, 0, 1])
    level = training_level(real, labels[:1], objects=torch.tensor([0]))
    loss.observe(logits, labels, rows=of_step(level, added=5))
    first = 0.25 * 0.01 + 0.75 * (0.5 + (0.1 + 0.3) / 2) / 2
    second = 0.5 * 0.01 + 0.5 * (0.4 + 0.2) / 2
    torch.testing.assert_close(loss.indicator.scores, torch.tensor([first, second, 0.01]).double())


def test_added_rows_alone_are_judged_too():
    loss = EquilibriumLoss(C, gamma=0.5, initial=0.01)
    level = training_level(torch.zeros(2, 4), torch.tensor([0, 1]), objects=torch.tensor([0, 1]))
    loss(scores_of([0.1]), torch.tensor([0]), of_step(level, added=1))
    loss.observe(scores_of([0.1]), torch.tensor([0]), rows=of_step(level, added=1))
    torch.testing.assert_close(loss.indicator.scores[0].item(), 0.005 + 0.05)


def test_a_class_that_always_scores_nothing_keeps_a_finite_margin():
    loss = EquilibriumLoss(C, gamma=0.0, initial=0.01)
    logits = torch.tensor([[-1e4, 1e4, 0.0, 0.0]], requires_grad=True)
    level = training_level(logits.detach(), torch.tensor([0]), objects=torch.tensor([0]))
    value = loss(logits, torch.tensor([0]), of_step(level))
    value.backward()
    assert value.isfinite()
    assert logits.grad.isfinite().all()
