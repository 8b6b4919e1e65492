"""Annotations that may be wrong, to be looked at."""

from collections.abc import Sequence
from typing import Any

from bacl.data.annotations.table import AnnotationTable
from bacl.evaluation.errors.suspicions import LabelSuspicions
from bacl.loggers.exhibits import Table
from bacl.messages.shown import shown
from bacl.reporting.label_errors import suspicion_lines

ROWS = 200
"""Of a kind, at most, the surest; label_errors.csv has all that were asked for."""


def suspicion_table(suspicions: Sequence[LabelSuspicions], table: AnnotationTable) -> Table:
    """The lines of label_errors.csv, as texts; confidence is a number."""
    header, *lines = suspicion_lines([each.surest(ROWS) for each in suspicions], table)
    place = header.index("confidence")
    rows: list[list[Any]] = [[shown(cell) if cell != "" else "" for cell in line] for line in lines]
    for row in rows:
        row[place] = float(row[place])
    return Table(header, rows)
