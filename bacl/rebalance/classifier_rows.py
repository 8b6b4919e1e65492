"""Which row of another toolkit's classifier is which category, there and back.

C: categories of the data. K: rows of the other classifier. D: width of a feature.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from bacl.messages.errors import OptionError

Numbering = Literal["positions", "ids"]
"""What a toolkit numbers classes by: their places among the category ids of the annotation file in
ascending order, or these ids themselves (models of COCO)."""
_OTHERWISE = {
    "positions": "rebalance.numbering=ids where its rows are category ids, as in COCO's models",
    "ids": "rebalance.numbering=positions where its rows are in the order of their ids",
}
SILENT = -1e4
"""Logit of a row that is no category of the data: its score is 0, also in half precision."""


@dataclass(frozen=True)
class ClassifierRows:
    """Places of the categories in a layer of K rows."""

    total: int
    """K."""
    own: Sequence[int]
    """C, the row of each label."""
    background: int | None
    """The row of background; None where scores are sigmoids and have none."""

    @classmethod
    def of(
        cls,
        total: int,
        ids: Sequence[int],
        numbering: Numbering,
        first: int,
        background: int | None,
        spare: int = 0,
    ) -> "ClassifierRows":
        """Those of a layer, as the toolkit numbers classes.

        Args:
            total: K.
            ids: of the categories, ascending.
            numbering: see `Numbering`.
            first: row of the first category, of those numbered by their places.
            background: its row.
            spare: rows beside them that stand for nothing, as the toolkit builds them for classes
                that are numbered by their places.

        Raises:
            OptionError: the layer has no row for a category, or, where they are numbered by their
                places, rows that are left over: then it was trained on other categories.
        """
        places = {"positions": range(first, first + len(ids)), "ids": ids}
        own = list(places[numbering])
        expected = len(own) + (background is not None) + spare
        fits = numbering == "ids" or total == expected
        if not (fits and all(0 <= row < total for row in own)) or background in own:
            raise OptionError(
                f"rebalance.numbering={numbering}: the data have {len(ids)} categories, and the "
                f"checkpoint's classifier {total} rows, of which {_names(own)} would be theirs"
                f"{'' if fits else f', and {expected} rows would be expected'}; name the data "
                f"that it was trained on, or {_OTHERWISE[numbering]}"
            )
        return cls(total, own, background)

    @property
    def rows(self) -> list[int]:
        """Of the categories and, last, of background where it has one."""
        return [*self.own, *([] if self.background is None else [self.background])]

    @property
    def others(self) -> list[int]:
        """Rows that are no category of the data."""
        return sorted(set(range(self.total)) - set(self.rows))

    def taken(self, values: Tensor) -> Tensor:
        """(K, …) in their order to labels' order, background last where there is one."""
        return values[self.rows]

    def put_back(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Weight (K, D) and bias (K,) of the whole layer from those in the order of `rows`."""
        whole = weight.new_zeros(self.total, weight.shape[1])
        biases = bias.new_full((self.total,), SILENT)
        whole[self.rows], biases[self.rows] = weight, bias
        return whole, biases


def _names(rows: Sequence[int]) -> str:
    return f"{min(rows)} to {max(rows)}" if rows else "none"


def with_background(weight: Tensor, bias: Tensor, has_one: bool) -> tuple[Tensor, Tensor]:
    """A classifier's rows as heads of C + 1 logits go on with them, background last.

    Softmax scores do not change when one row is subtracted from all: with background's, a logit is
    the log-odds of its category against background, which is what a sigmoid is to say of it. Where
    there is no row of background, one is added that knows nothing (a score of a half).

    Args:
        weight: (K, D) of K = C + 1 rows, or of C.
        bias: (K,).
        has_one: whether the last row is background's.
    """
    if has_one:
        return weight - weight[-1:], bias - bias[-1:]
    return (
        torch.cat((weight, weight.new_zeros(1, weight.shape[1]))),
        torch.cat((bias, bias.new_zeros(1))),
    )
