"""The results of one run: a table for the console, one for a README, and files with everything."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rich.table import Table
from rich.text import Text

from bacl.data.statistics import CategoryStatistics
from bacl.evaluation.evaluation import Evaluation
from bacl.evaluation.groups import Grouping
from bacl.files.atomic import replacing
from bacl.messages.shown import as_markdown, shown, span
from bacl.reporting.diagnosis import diagnose
from bacl.reporting.diagnosis_facts import facts
from bacl.reporting.error_results import ErrorResults
from bacl.reporting.error_tables import error_tables
from bacl.reporting.explanations import explanations
from bacl.reporting.head_rows import Cell, blocks, further, rows
from bacl.reporting.markdown_table import header, row
from bacl.reporting.shift_lines import curve_rows, shift_curves, shift_lines
from bacl.reporting.spreadsheet import write_csv
from bacl.reporting.threshold_files import threshold_rows, write_reliability, write_thresholds
from bacl.reporting.threshold_lines import operating_points, reliability_lines, threshold_lines


@dataclass(frozen=True)
class RunResults:
    """What an evaluation found of the variants of a run, the first of which is the reference."""

    evaluations: Mapping[str, Evaluation]
    statistics: CategoryStatistics
    """Of the training data."""
    norms: Mapping[str, Sequence[NDArray]] = field(default_factory=dict)
    """(C,) weight norms of each classifier of a head, by head; where they are known."""

    @property
    def notes(self) -> list[str]:
        """What is said below the tables: of which images they are, and of which groups."""
        first = self._first
        evaluated = f"evaluated on {first.part}: not comparable with all of them"
        groups = describe_groups(first.grouping, self.statistics)
        told = [f"AP: {first.protocol}"] if first.protocol else []
        return [evaluated, *told, *groups] if first.part else [*told, *groups]

    def console_table(self) -> Table:
        """Everything in percent, with the differences to the first variant, and the notes.

        A block for each of AP, AP at the fitting limit and the right label. In it, one row per
        variant, and one for its masks where it has some, whose AP is the AP^m of the paper.
        """
        table = Table(caption="\n".join(self.notes), caption_justify="left")
        table.add_column("head", style="bold", no_wrap=True)
        for title in self._columns_of_groups:
            table.add_column(title, justify="right")
        for block in blocks(self._first):
            table.add_section()
            table.add_row(Text(block.title, style="italic"))
            for name, cells in rows(self.evaluations, block.columns):
                table.add_row(Text(shown(name)), *[_rich_cell(cell) for cell in cells])
        return table

    def markdown(self) -> str:
        """The same table in Markdown, what it can tell, and a table of further measures."""
        lines = header(["measure", "head"], self._columns_of_groups)
        for block in blocks(self._first):
            found = rows(self.evaluations, block.columns)
            lines += [_line([block.title, name], own) for name, own in found]
        titles = further(self._first)
        measures = [*(block.title for block in blocks(self._first)), *titles]
        told = [*self.notes, *explanations(measures, len(self.evaluations) > 1)]
        told += shift_lines(shift_curves(self.evaluations))
        lines += ["", *[f"- {text}" for text in told], ""]
        lines += header(["head"], titles)
        found = rows(self.evaluations, titles)
        lines += [_line([name], own) for name, own in found]
        if told := self.diagnosis:
            lines += ["", "## Diagnosis", "", *[f"- {text}" for text in told]]
        lines += error_tables(self.errors) if self.errors else []
        for table in (threshold_lines(self.evaluations), reliability_lines(self.evaluations)):
            lines += ["", *table] if table else []
        return "\n".join(lines) + "\n"

    def write(self, folder: Path, category_ids: ArrayLike) -> None:
        """Write results.json, per_category.csv and shift_curves.csv, each whole or not at all.

        And what `ErrorResults.write` says, where errors were looked at.

        results.json has the measures by variant, -1 as null, `evaluated` where not all images were
        judged, `protocol` (how AP was measured), and `diagnosis`, sentences in Markdown, where
        errors were looked at.
        per_category.csv has columns `<variant>.<measure>`, with -1 left empty, and names as
        `bacl.reporting.spreadsheet` says. shift_curves.csv is there where objects are of several
        groups, with a line for each variant and power, see `bacl.evaluation.shift_curve`.

        Args:
            folder: made where it is missing.
            category_ids: (C,) as in the annotation file.

        Raises:
            ValueError: a column without exactly C values; names it.
        """
        columns = self._columns(np.asarray(category_ids))
        with replacing(folder / "results.json") as path:
            part: dict[str, Any] = {"evaluated": self._first.part} if self._first.part else {}
            part |= {"protocol": self._first.protocol} if self._first.protocol else {}
            part |= {"diagnosis": self.diagnosis} if self.diagnosis else {}
            values = {name: _plain(each.values) for name, each in self.evaluations.items()}
            path.write_text(json.dumps(part | values, indent=2) + "\n", encoding="utf-8")
        lines = zip(*[_texts(column) for column in columns.values()], strict=True)
        write_csv(folder / "per_category.csv", [list(columns), *lines])
        if curves := shift_curves(self.evaluations):
            write_csv(folder / "shift_curves.csv", curve_rows(curves))
        if self.errors:
            self.errors.write(folder, np.asarray(category_ids))
        if operating_points(self.evaluations):
            rows = threshold_rows(self.evaluations, columns["id"].tolist(), self.statistics.names)
            write_csv(folder / "thresholds.csv", rows)
            write_thresholds(folder / "thresholds.json", self.evaluations)
            write_reliability(folder / "reliability.json", self.evaluations)

    @cached_property
    def errors(self) -> ErrorResults | None:
        """What went wrong; None where that was not looked at."""
        return ErrorResults.of(self.evaluations, self.statistics.names)

    @cached_property
    def diagnosis(self) -> list[str]:
        """What the errors of the reference say, and of the other head that is right most often."""
        if self.errors is None:
            return []
        instances = np.asarray(self.statistics.instance_counts)
        known = [
            facts(self.errors, name, self.norms.get(name, ()), instances)
            for name in self.errors.contrasted
        ]
        return diagnose(*[each for each in known if each is not None]) if all(known) else []

    @property
    def _first(self) -> Evaluation:
        return next(iter(self.evaluations.values()))

    @property
    def _columns_of_groups(self) -> list[str]:
        return ["all", *(group.name for group in self._first.grouping.groups)]

    def _columns(self, category_ids: NDArray) -> dict[str, NDArray]:
        counts = self.statistics
        columns: dict[str, NDArray] = {
            "id": category_ids,
            "name": np.array(counts.names, dtype=object),  # of numpy's own a final NUL is lost
            "group": self._first.grouping.keys,
            "train_images": np.asarray(counts.image_counts),
            "train_instances": np.asarray(counts.instance_counts),
        }
        for name, evaluation in self.evaluations.items():
            found = evaluation.per_category.items()
            columns |= {f"{name}.{measure}": np.asarray(values) for measure, values in found}
        wrong = [key for key, column in columns.items() if column.shape != (len(counts.names),)]
        if wrong:
            raise ValueError(
                f"per_category: {wrong} need one value for each of {len(counts.names)} categories"
            )
        return columns


def describe_groups(grouping: Grouping, statistics: CategoryStatistics) -> list[str]:
    """One sentence per group: categories, images (or instances) of each category, instances."""
    images, instances = np.asarray(statistics.image_counts), np.asarray(statistics.instance_counts)
    counts, unit = grouping.counts(images, instances), grouping.counts("images", "instances")
    return [
        f"{group.name}: {int(group.members.sum()):,} "
        f"{'category' if group.members.sum() == 1 else 'categories'} of "
        f"{span(int(counts[group.members].min()), int(counts[group.members].max()))} "
        f"training {unit}, {int(instances[group.members].sum()):,} instances"
        for group in grouping.present
    ]


def _line(names: Sequence[str], cells: Sequence[Cell]) -> str:
    """The last of the names is a head's."""
    return row([*names[:-1], as_markdown(shown(names[-1]))], [cell.text for cell in cells])


def _rich_cell(cell: Cell) -> Text:
    colour = {"-": "red", "+": "green"}.get(cell.change[:1], "") if cell.sure else "bright_black"
    return Text(cell.value) + Text(f"\n{cell.marked}" if cell.change else "", style=colour)


def _plain(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: float(v) if float(v) >= 0 else None for name, v in values.items()}


def _texts(column: NDArray) -> list[str]:
    if not np.issubdtype(column.dtype, np.floating):
        return [str(value) for value in column.tolist()]
    return ["" if math.isnan(value) or value < 0 else f"{value:.6g}" for value in column.tolist()]
