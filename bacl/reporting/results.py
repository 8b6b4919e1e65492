"""The results of one run: a table for the console, one for a README, and files with everything."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rich.table import Table
from rich.text import Text

from bacl.data.statistics import CategoryStatistics
from bacl.evaluation.evaluation import Evaluation
from bacl.evaluation.groups import Grouping
from bacl.evaluation.measures import Measure, shown_in
from bacl.files.atomic import replacing
from bacl.messages.shown import as_markdown, shown
from bacl.reporting.spreadsheet import write_csv

DASH = "–"


@dataclass(frozen=True)
class RunResults:
    """What an evaluation found of the variants of a run, the first of which is the reference."""

    evaluations: Mapping[str, Evaluation]
    statistics: CategoryStatistics
    """Of the training data."""

    @property
    def notes(self) -> list[str]:
        """What is said below the tables: of which images they are, and of which groups."""
        first = self._first
        evaluated = f"evaluated on {first.part}: not comparable with all of them"
        groups = describe_groups(first.grouping, self.statistics)
        return [evaluated, *groups] if first.part else groups

    def console_table(self) -> Table:
        """AP in percent, with the differences to the first variant, and the notes.

        One row per variant, and one for its masks where it has some, whose AP is the AP^m of the
        paper.
        """
        table = Table(caption="\n".join(self.notes), caption_justify="left")
        table.add_column("head", style="bold", no_wrap=True)
        for title in self._titles:
            table.add_column(title, justify="right")
        for name, cells in self._rows():
            table.add_row(Text(shown(name)), *[_rich_cell(*cell) for cell in cells])
        return table

    def markdown(self) -> str:
        """The same table in Markdown."""
        titles = self._titles
        lines = ["| head | " + " | ".join(titles) + " |", "|---|" + "---:|" * len(titles)]
        for name, cells in self._rows():
            texts = [f"{value} ({change})" if change else value for value, change in cells]
            lines.append(f"| {as_markdown(shown(name))} | " + " | ".join(texts) + " |")
        return "\n".join([*lines, "", *[f"- {text}" for text in self.notes]]) + "\n"

    def write(self, folder: Path, category_ids: ArrayLike) -> None:
        """Write results.json and per_category.csv, each as a whole or not at all.

        results.json has the measures by variant, -1 as null, and `evaluated` where not all images
        were judged. per_category.csv has columns `<variant>.<measure>`, with -1 left empty, and
        names as `bacl.reporting.spreadsheet` says.

        Args:
            folder: made where it is missing.
            category_ids: (C,) as in the annotation file.

        Raises:
            ValueError: a column without exactly C values; names it.
        """
        columns = self._columns(np.asarray(category_ids))
        with replacing(folder / "results.json") as path:
            part = {"evaluated": self._first.part} if self._first.part else {}
            values = {name: _plain(each.values) for name, each in self.evaluations.items()}
            path.write_text(json.dumps(part | values, indent=2) + "\n", encoding="utf-8")
        rows = zip(*[_texts(column) for column in columns.values()], strict=True)
        write_csv(folder / "per_category.csv", [list(columns), *rows])

    @property
    def _first(self) -> Evaluation:
        return next(iter(self.evaluations.values()))

    @property
    def _titles(self) -> list[str]:
        return list(dict.fromkeys(each.title for each in _in_tables(self._first)))

    def _rows(self) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        """Title and cells; a cell is its percentage and its difference to the first one's."""
        first: dict[bool, list[float]] = {}
        for name, evaluation in self.evaluations.items():
            for of_masks in sorted({each.of_masks for each in _in_tables(evaluation)}):
                numbers = self._percents(evaluation, of_masks)
                reference = first.get(of_masks)
                changes = [
                    math.nan if reference is None else number - before
                    for number, before in zip(numbers, reference or numbers, strict=True)
                ]
                first.setdefault(of_masks, numbers)
                pairs = zip(numbers, changes, strict=True)
                yield (
                    f"{name} masks" if of_masks else name,
                    [(_text(number, ""), _text(change, "+")) for number, change in pairs],
                )

    def _percents(self, evaluation: Evaluation, of_masks: bool) -> list[float]:
        own = {e.title: e.name for e in _in_tables(evaluation) if e.of_masks == of_masks}
        values = [evaluation.values.get(own.get(title, ""), -1) for title in self._titles]
        return [100 * float(value) if value >= 0 else math.nan for value in values]

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
        f"{int(counts[group.members].min()):,} to {int(counts[group.members].max()):,} "
        f"training {unit}, {int(instances[group.members].sum()):,} instances"
        for group in grouping.present
    ]


def _in_tables(evaluation: Evaluation) -> list[Measure]:
    return shown_in(evaluation.measures, "main", "more", "all")


def _text(number: float, sign: str) -> str:
    if math.isnan(number):
        return "" if sign else DASH
    return f"{round(number, 1) + 0.0:{sign}.1f}"  # + 0.0 makes -0.0 positive


def _rich_cell(value: str, change: str) -> Text:
    colour = {"-": "red", "+": "green"}.get(change[:1], "")
    return Text(value) + Text(f"\n{change}" if change else "", style=colour)


def _plain(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: float(v) if float(v) >= 0 else None for name, v in values.items()}


def _texts(column: NDArray) -> list[str]:
    if not np.issubdtype(column.dtype, np.floating):
        return [str(value) for value in column.tolist()]
    return ["" if math.isnan(value) or value < 0 else f"{value:.6g}" for value in column.tolist()]
