"""Rows of tables of a run: what was measured of every head, and how it differs from the first.

All numbers are in percent.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bacl.evaluation.evaluation import Evaluation
from bacl.evaluation.label_difference import Difference, label_differences
from bacl.evaluation.measures import Measure, shown_in

DASH, NOT_SURE = "–", "≈"


@dataclass(frozen=True)
class Cell:
    """A measure of a head."""

    value: str
    change: str = ""
    """Its difference to the first head's; where standard errors are known, with one of them."""
    sure: bool = True
    """Whether that is more than two standard errors, as far as they are known."""

    @property
    def marked(self) -> str:
        """The difference, with a mark where it is not sure."""
        return self.change if self.sure else f"{NOT_SURE} {self.change}"

    @property
    def text(self) -> str:
        """Both, where there is a difference."""
        return f"{self.value} ({self.marked})" if self.change else self.value


@dataclass(frozen=True)
class Block:
    """A measure that groups of categories have, too."""

    title: str
    columns: Sequence[str]
    """Titles of the measure of all categories, and of those of the groups."""


def blocks(evaluation: Evaluation) -> list[Block]:
    """What a run's first table has, one below the other."""
    keys = [group.key for group in evaluation.grouping.groups]
    families = dict.fromkeys(each.family for each in _in_tables(evaluation) if each.group)
    return [Block(title, [title, *(f"{title}_{key}" for key in keys)]) for title in families]


def further(evaluation: Evaluation) -> list[str]:
    """Titles of the measures that groups do not have."""
    shown = _in_tables(evaluation)
    grouped = {each.family for each in shown if each.group}
    return list(dict.fromkeys(each.title for each in shown if each.family not in grouped))


def rows(
    evaluations: Mapping[str, Evaluation], titles: Sequence[str]
) -> Iterator[tuple[str, list[Cell]]]:
    """Name and cells of every head, and of its masks where it has some; the first is compared with.

    Masks are compared with masks.
    """
    first: dict[bool, Evaluation] = {}
    for name, evaluation in evaluations.items():
        for of_masks in sorted({e.of_masks for e in _in_tables(evaluation) if e.title in titles}):
            cells = _cells(evaluation, first.get(of_masks), titles, of_masks)
            first.setdefault(of_masks, evaluation)
            yield (f"{name} masks" if of_masks else name, cells)


def _cells(
    evaluation: Evaluation, reference: Evaluation | None, titles: Sequence[str], of_masks: bool
) -> list[Cell]:
    numbers = _percents(evaluation, titles, of_masks)
    if reference is None:
        return [Cell(_text(number)) for number in numbers]
    changes = _percents(reference, titles, of_masks)
    cells = [
        Cell(_text(number), _signed(number - before))
        for number, before in zip(numbers, changes, strict=True)
    ]
    with_errors = _with_errors(evaluation, reference)
    return [with_errors.get(title, cell) for title, cell in zip(titles, cells, strict=True)]


def _with_errors(evaluation: Evaluation, reference: Evaluation) -> dict[str, Cell]:
    """By title, those of the right label; of other measures no standard errors are known."""
    head, other = evaluation.right_labels, reference.right_labels
    if head is None or other is None:
        return {}
    differences = label_differences(head, other, evaluation.grouping)
    found = {}
    for measure in _in_tables(evaluation):
        if measure.family == "right label":
            number = _percent(evaluation.values[measure.name])
            found[measure.title] = compared(number, differences[measure.group])
    return found


def compared(number: float, difference: Difference) -> Cell:
    """A number in percent, and a difference in [-1, 1]."""
    error = "" if math.isnan(difference.error) else f" ± {100 * difference.error:.1f}"
    signed = _signed(100 * difference.value)
    return Cell(_text(number), signed and signed + error, difference.sure)


def _percents(evaluation: Evaluation, titles: Sequence[str], of_masks: bool) -> list[float]:
    own = {e.title: e.name for e in _in_tables(evaluation) if e.of_masks == of_masks}
    return [_percent(evaluation.values.get(own.get(title, ""), -1)) for title in titles]


def _in_tables(evaluation: Evaluation) -> list[Measure]:
    return shown_in(evaluation.measures, "main", "more", "all")


def _percent(value: float) -> float:
    return 100 * float(value) if value >= 0 else math.nan


def in_percent(share: float) -> str:
    """A share in [0, 1] as a cell; a dash for what is not known (NaN)."""
    return _text(100 * share)


def _text(number: float) -> str:
    return DASH if math.isnan(number) else f"{round(number, 1) + 0.0:.1f}"


def _signed(number: float) -> str:
    return "" if math.isnan(number) else f"{round(number, 1) + 0.0:+.1f}"  # no negative zero
