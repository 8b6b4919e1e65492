"""Ablation tables: what finished runs measured, beside the paper's figures.

Measures are in percent. A run is one seed of one row.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev

MEASURES = {"AP": "AP", "AP_r": "APr", "AP_c": "APc", "AP_f": "APf"}
"""Columns of the paper's tables, and the metric's names of them."""


@dataclass(frozen=True)
class Row:
    """One setting: its runs by seed, and the paper's row."""

    name: str
    runs: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    """Finished runs: the metric's measures in [0, 1], -1 where there is nothing to average."""
    problems: Mapping[int, str] = field(default_factory=dict)
    """Why the others have no result; seed -1 where no run is known at all."""
    paper: Sequence[float] | None = None
    """In the order of `MEASURES`, in percent."""
    default: bool = False
    """Whether this is the setting that the others are compared with."""

    def values(self, column: str) -> list[float]:
        """A measure of every finished run that has it, in percent."""
        found = (run.get(MEASURES[column], -1) for run in self.runs.values())
        return [100 * value for value in found if value is not None and value >= 0]

    def mean(self, column: str) -> float:
        """Over seeds; NaN without a run."""
        values = self.values(column)
        return fmean(values) if values else math.nan

    def deviation(self, column: str) -> float:
        """Sample standard deviation over seeds; NaN with fewer than two."""
        values = self.values(column)
        return stdev(values) if len(values) > 1 else math.nan

    def published(self, column: str) -> float:
        """The paper's value; NaN where it prints none."""
        if self.paper is None:
            return math.nan
        return self.paper[list(MEASURES).index(column)]


@dataclass(frozen=True)
class Ablation:
    """One table or figure of the paper."""

    key: str
    title: str
    rows: Sequence[Row]
    axis: str | None = None
    """What the rows' names are numbers of; None where they are none."""
    note: str | None = None

    @property
    def default(self) -> Row | None:
        """The row that the others are compared with."""
        return next((row for row in self.rows if row.default), None)

    def change(self, row: Row, column: str) -> float:
        """Our mean against the default's; NaN for the default itself, or without either."""
        return self._against(row, row.mean(column), lambda default: default.mean(column))

    def published_change(self, row: Row, column: str) -> float:
        """The paper's value against its default's; NaN as in `change`."""
        return self._against(row, row.published(column), lambda default: default.published(column))

    def _against(self, row: Row, value: float, of: Callable[[Row], float]) -> float:
        default = self.default
        return math.nan if default is None or row is default else value - of(default)
