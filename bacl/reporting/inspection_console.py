"""An inspection on the screen."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from bacl.inspection.finding import Severity
from bacl.reporting.inspection_lines import (
    GROUPS,
    NAMES,
    SIZE_TITLES,
    group_rows,
    places,
    preset_rows,
    size_rows,
    split_rows,
)
from bacl.reporting.inspection_report import InspectionReport

STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow"}


def console_parts(report: InspectionReport) -> Iterator[RenderableType]:
    """What is printed of the data, one after the other."""
    yield _table("Images and objects", ["", "training", "validation"], split_rows(report))
    yield _table("Categories by training images", GROUPS, group_rows(report))
    # A column for each view: a row for each would be too long for a terminal of 80 characters.
    titles, *rows = map(list, zip(SIZE_TITLES, *size_rows(report), strict=True))
    yield _table("Pixels in the network", ["", *titles[1:]], rows)
    yield from _found(report)
    yield _table("Preset", ["part", "overrides", "because"], preset_rows(report))
    yield Text(f"\n{report.command}\n")


def _found(report: InspectionReport) -> Iterator[RenderableType]:
    """Errors and warnings with their mend and places, notes in a line each.

    No table: its columns would break the names of files, which are there to be copied.
    """
    yield Text(f"Found: {report.headline}", style="bold")
    for finding in report.findings:
        fault = finding.fault
        told = f"{fault.severity.value}, {NAMES[finding.split]}: {finding.told}"
        yield Text(told, style=STYLES.get(fault.severity, ""))
        if fault.severity is not Severity.NOTE:
            yield Text(f"    {fault.follows}. Mend: {fault.mend}")
            for place in places(finding, report.examples):
                yield Text(f"    {place}")


def _table(title: str, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title)
    for place, each in enumerate(titles):
        numbers = place > 0 and rows and all(len(row[place]) < 30 for row in rows)
        table.add_column(each, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table
