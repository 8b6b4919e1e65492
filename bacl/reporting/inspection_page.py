"""An inspection as a page in Markdown."""

from collections.abc import Sequence

from bacl.messages.shown import as_markdown, shown
from bacl.reporting.inspection_lines import (
    GROUPS,
    NAMES,
    SIZE_TITLES,
    group_rows,
    places,
    preset_rows,
    size_rows,
    split_rows,
    step_lines,
)
from bacl.reporting.inspection_report import InspectionReport

ALL_CATEGORIES = 100
"""Categories up to which the page has a row for each; above it, the first and the last of them."""
EACH_END = 15
COUNTED = (
    *("train_images", "train_objects", "trained_images", "trained_objects", "val_images"),
    "val_objects",
)


def markdown(report: InspectionReport, figures: Sequence[str]) -> str:
    """The page.

    Args:
        report: what was found.
        figures: paths of pictures, relative to the page.
    """
    lines = [f"# Data: {as_markdown(shown(report.name))}", "", f"{report.headline}.", ""]
    lines += [
        "## Images and objects",
        "",
        *_rows(["", "training", "validation"], split_rows(report)),
    ]
    lines += ["## Categories", "", *_categories(report)]
    lines += ["## Found", "", *_findings(report)]
    lines += ["## Sizes in the network, in pixels", "", *_rows(SIZE_TITLES, size_rows(report))]
    lines += ["## Preset", "", "```bash", report.command, "```", ""]
    lines += _rows(["part", "overrides", "because"], preset_rows(report))
    lines += [
        "## Time and memory",
        "",
        *[f"- {as_markdown(each)}" for each in step_lines(report)],
        "",
    ]
    lines += [f"![{figure}]({figure})\n" for figure in figures]
    return "\n".join(lines)


def _categories(report: InspectionReport) -> list[str]:
    ratio = report.imbalance
    told = (
        f"Largest over smallest: {ratio['images']:,.0f} in images, {ratio['objects']:,.0f} in "
        "objects."
    )
    rows = sorted(report.categories, key=lambda row: -row["train_images"])
    shortened = len(rows) > ALL_CATEGORIES
    kept = [*rows[:EACH_END], *rows[-EACH_END:]] if shortened else rows
    cells = [[row["name"], row["frequency"], *[f"{row[key]:,}" for key in COUNTED]] for row in kept]
    titles = ["category", "group", *[key.replace("_", " ") for key in COUNTED]]
    lines = [told, "", *_rows(GROUPS, group_rows(report)), *_rows(titles, cells)]
    if report.together:
        pairs = [f"{' and '.join(each['names'])} ({each['images']:,})" for each in report.together]
        lines += [f"Most often in one training image: {as_markdown(', '.join(pairs))}.", ""]
    if shortened:
        lines += [f"The first and the last {EACH_END} of {len(rows):,}; `data.json` has all.", ""]
    return lines


def _findings(report: InspectionReport) -> list[str]:
    if not report.findings:
        return ["Nothing.", ""]
    rows = [
        [
            f"{each.fault.severity}",
            NAMES[each.split],
            each.told,
            f"{each.fault.follows}. Mend: {each.fault.mend}",
            "; ".join(places(each, report.examples)),
        ]
        for each in report.findings
    ]
    return _rows(["severity", "split", "found", "what follows, and the mend", "where"], rows)


def _rows(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown, and an empty line."""
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    for row in rows:
        cells = [as_markdown(cell.replace("\n", " ")) for cell in row]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]
