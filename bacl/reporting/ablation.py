"""Ablation tables: what finished runs measured, beside the paper's figures.

Measures are in percent. A run is one seed of one row.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev

from bacl.evaluation.measures import Measure, shown_in, undeclared

PAPER = {"AP": "AP", "AP_r": "APr", "AP_c": "APc", "AP_f": "APf"}
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
    """In the order of `PAPER`, in percent."""
    default: bool = False
    """Whether this is the setting that the others are compared with."""
    declared: Sequence[Measure] = ()
    """What the runs' values are of; where nothing is said, their names tell."""

    @property
    def measures(self) -> Sequence[Measure]:
        """What the finished runs measured."""
        names = list(dict.fromkeys(name for run in self.runs.values() for name in run))
        return [each for each in self.declared if each.name in names] or undeclared(names)

    def values(self, measure: str) -> list[float]:
        """A measure of every finished run that has it, in percent."""
        found = (run.get(measure, -1) for run in self.runs.values())
        return [100 * value for value in found if value is not None and value >= 0]

    def mean(self, measure: str) -> float:
        """Over seeds; NaN without a run."""
        values = self.values(measure)
        return fmean(values) if values else math.nan

    def deviation(self, measure: str) -> float:
        """Sample standard deviation over seeds; NaN with fewer than two."""
        values = self.values(measure)
        return stdev(values) if len(values) > 1 else math.nan

    def published(self, measure: str) -> float:
        """The paper's value; NaN where it prints none."""
        if self.paper is None:
            return math.nan
        return dict(zip(PAPER.values(), self.paper, strict=True)).get(measure, math.nan)


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

    @property
    def columns(self) -> dict[str, str]:
        """Title and measure of what the runs have: AP and that of groups, then those of masks.

        Before there are runs, the columns are the paper's.
        """
        return {each.full_title: each.name for each in self.measures} or PAPER

    @property
    def measures(self) -> list[Measure]:
        """Of the columns, those of boxes first."""
        found = dict.fromkeys(each for row in self.rows for each in row.measures)
        return sorted(shown_in(found, "main"), key=lambda each: each.of_masks)

    def change(self, row: Row, measure: str) -> float:
        """Our mean against the default's; NaN for the default itself, or without either."""
        return self._against(row, row.mean(measure), lambda default: default.mean(measure))

    def published_change(self, row: Row, measure: str) -> float:
        """The paper's value against its default's; NaN as in `change`."""
        return self._against(
            row, row.published(measure), lambda default: default.published(measure)
        )

    def _against(self, row: Row, value: float, of: Callable[[Row], float]) -> float:
        default = self.default
        return math.nan if default is None or row is default else value - of(default)
