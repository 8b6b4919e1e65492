"""The results of one run: a table for the console, one for a README, and files with everything."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rich.table import Table
from rich.text import Text

from bacl.evaluation.groups import MASKS, Grouping
from bacl.files.atomic import replacing
from bacl.reporting.shown_names import as_markdown, shown
from bacl.reporting.spreadsheet import write_csv

# Column title -> metric; the average recall carries its number of detections in its name.
OVERALL = {"AP": "AP", "AP50": "AP50", "AP75": "AP75"}
RECALL = {"AR": "AR@"}
# Row of a head -> what begins the names of its metrics; columns for masks would need a wider page.
SHAPES = {"": "", " masks": MASKS}
DASH = "–"


def results_table(
    results: Mapping[str, Mapping[str, float]],
    grouping: Grouping,
    image_counts: ArrayLike,
    instance_counts: ArrayLike,
    part: str = "",
) -> Table:
    """The heads' AP as a console table, with their differences to the first head.

    Args:
        results: metrics by head, in [0, 1]; -1 (or absent) where there is nothing to average.
        grouping: of the metric.
        image_counts: (C,) training images that contain the category.
        instance_counts: (C,) training instances of the category.
        part: of the data, that was evaluated, such as "40 of 617 images"; empty for all.

    Returns:
        One row per head in percent, and one for its masks where it has some, whose AP is the AP^m
        of the paper; below them what the groups were trained on.
    """
    notes = _notes(grouping, image_counts, instance_counts, part)
    table = Table(caption="\n".join(notes), caption_justify="left")
    table.add_column("head", style="bold", no_wrap=True)
    for title in _columns(grouping):
        table.add_column(title, justify="right")
    for head, cells in _rows(results, _columns(grouping)):
        table.add_row(Text(shown(head)), *[_rich_cell(*cell) for cell in cells])
    return table


def results_markdown(
    results: Mapping[str, Mapping[str, float]],
    grouping: Grouping,
    image_counts: ArrayLike,
    instance_counts: ArrayLike,
    part: str = "",
) -> str:
    """The same table in Markdown; arguments as `results_table`."""
    titles = _columns(grouping)
    lines = ["| head | " + " | ".join(titles) + " |", "|---|" + "---:|" * len(titles)]
    for head, cells in _rows(results, _columns(grouping)):
        texts = [f"{value} ({change})" if change else value for value, change in cells]
        lines.append(f"| {as_markdown(shown(head))} | " + " | ".join(texts) + " |")
    notes = _notes(grouping, image_counts, instance_counts, part)
    return "\n".join([*lines, "", *[f"- {text}" for text in notes]]) + "\n"


def _notes(
    grouping: Grouping, image_counts: ArrayLike, instance_counts: ArrayLike, part: str
) -> list[str]:
    """What is said below the table."""
    evaluated = [f"evaluated on {part}: not comparable with all of them"] if part else []
    return [*evaluated, *describe_groups(grouping, image_counts, instance_counts)]


def describe_groups(
    grouping: Grouping, image_counts: ArrayLike, instance_counts: ArrayLike
) -> list[str]:
    """One sentence per group: categories, images (or instances) of each category, instances."""
    counts = np.asarray(grouping.counts(image_counts, instance_counts))
    instances, unit = np.asarray(instance_counts), grouping.counts("images", "instances")
    return [
        f"{group.name}: {int(group.members.sum()):,} "
        f"{'category' if group.members.sum() == 1 else 'categories'} of "
        f"{int(counts[group.members].min()):,} to {int(counts[group.members].max()):,} "
        f"training {unit}, {int(instances[group.members].sum()):,} instances"
        for group in grouping.present
    ]


def write_results(
    folder: Path,
    results: Mapping[str, Mapping[str, float]],
    per_category: Mapping[str, Mapping[str, ArrayLike]],
    names: Sequence[str],
    grouping: Grouping,
    image_counts: ArrayLike,
    instance_counts: ArrayLike,
    category_ids: ArrayLike,
    part: str = "",
) -> None:
    """Write results.json and per_category.csv, each as a whole or not at all.

    Args:
        folder: made where it is missing.
        results: metrics by head; written as they are, -1 as null.
        per_category: by head and measure, (C,) each; columns are named `<head>.<measure>`, with -1
            left empty. Names are written as `bacl.reporting.spreadsheet` says.
        names: the categories' names.
        grouping: of the metric.
        image_counts: (C,) training images that contain the category.
        instance_counts: (C,) training instances of the category.
        category_ids: (C,) as in the annotation file.
        part: as `results_table`; results.json then has it as `evaluated`.

    Raises:
        ValueError: a column without exactly C values; names it.
    """
    columns: dict[str, NDArray] = {
        "id": np.asarray(category_ids),
        "name": np.array(names, dtype=object),  # of numpy's own texts a final NUL is lost
        "group": grouping.keys,
        "train_images": np.asarray(image_counts),
        "train_instances": np.asarray(instance_counts),
    }
    for head, measures in per_category.items():
        columns |= {f"{head}.{measure}": np.asarray(v) for measure, v in measures.items()}
    wrong = [name for name, column in columns.items() if column.shape != (len(names),)]
    if wrong:
        raise ValueError(
            f"per_category: {wrong} need one value for each of {len(names)} categories"
        )
    with replacing(folder / "results.json") as path:
        content = ({"evaluated": part} if part else {}) | _plain(results)
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    rows = zip(*[_texts(column) for column in columns.values()], strict=True)
    write_csv(folder / "per_category.csv", [list(columns), *rows])


def _columns(grouping: Grouping) -> dict[str, str]:
    """Title and metric of each column."""
    return OVERALL | grouping.columns | RECALL


def _rows(
    results: Mapping[str, Mapping[str, float]], columns: Mapping[str, str]
) -> list[tuple[str, list[tuple[str, str]]]]:
    """Title and cells; a cell is its percentage and its difference to the first head's."""
    rows: list[tuple[str, list[tuple[str, str]]]] = []
    first: dict[str, list[float]] = {}
    for head, values in results.items():
        for shape, prefix in SHAPES.items():
            if prefix and f"{prefix}AP" not in values:
                continue
            numbers = [_percent(values, prefix + metric) for metric in columns.values()]
            compared = shape in first
            reference = first.setdefault(shape, numbers)
            changes = [
                b - a if compared else math.nan for a, b in zip(reference, numbers, strict=True)
            ]
            cells = [(_text(n, ""), _text(d, "+")) for n, d in zip(numbers, changes, strict=True)]
            rows.append((head + shape, cells))
    return rows


def _percent(values: Mapping[str, float], metric: str) -> float:
    found = [float(value) for name, value in values.items() if name == metric]
    if metric.endswith("@"):
        found += [float(value) for name, value in values.items() if name.startswith(metric)]
    return 100 * found[0] if found and found[0] >= 0 else math.nan


def _text(number: float, sign: str) -> str:
    if math.isnan(number):
        return "" if sign else DASH
    return f"{round(number, 1) + 0.0:{sign}.1f}"  # + 0.0 makes -0.0 positive


def _rich_cell(value: str, change: str) -> Text:
    colour = {"-": "red", "+": "green"}.get(change[:1], "")
    return Text(value) + Text(f"\n{change}" if change else "", style=colour)


def _plain(results: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float | None]]:
    return {
        head: {name: float(v) if float(v) >= 0 else None for name, v in values.items()}
        for head, values in results.items()
    }


def _texts(column: NDArray) -> list[str]:
    if not np.issubdtype(column.dtype, np.floating):
        return [str(value) for value in column.tolist()]
    return ["" if math.isnan(value) or value < 0 else f"{value:.6g}" for value in column.tolist()]
