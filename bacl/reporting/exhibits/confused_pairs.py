"""Which categories are taken for which others, most often."""

from collections.abc import Iterator

from bacl.loggers.exhibits import Cell, Table
from bacl.messages.shown import shown
from bacl.reporting.error_results import ErrorResults

PAIRS = 50
"""Of a head, at most."""


def confused_pairs(errors: ErrorResults) -> Table:
    """The pairs with the most objects of each head; confusion.csv has all."""
    columns = ("head", "annotated", "annotated group", "called", "called group", "objects", "share")
    return Table(columns, list(_rows(errors)))


def _rows(errors: ErrorResults) -> Iterator[list[Cell]]:
    keys = errors.grouping.keys.tolist()
    for head, found in errors.confusions.items():
        cells = found.most_confused(PAIRS)
        columns = (found.annotated, found.detected, found.counts, found.shares)
        rows = zip(*(column[cells].tolist() for column in columns), strict=True)
        for own, other, count, share in rows:
            yield [
                head, shown(errors.names[own]), keys[own], shown(errors.names[other]), keys[other],
                count, float(f"{share:.4g}"),
            ]  # fmt: skip
