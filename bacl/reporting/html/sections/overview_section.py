"""What was measured, of all categories and of each group, and how heads differ."""

from bacl.reporting.explanations import explanations
from bacl.reporting.head_rows import blocks, further, rows
from bacl.reporting.html.markup import element, joined, listed
from bacl.reporting.html.percent_table import percent_table
from bacl.reporting.html.section import Content, Section, Source, group_title
from bacl.reporting.results import RunResults


def make(source: Source) -> Content:
    """A table for each measure that groups have, and one of the others."""
    first, found = source.first, source.evaluations
    parts = blocks(first)
    groups = ["all", *(group_title(source.grouping, each) for each in source.grouping.groups)]
    tables = [percent_table(each.title, groups, rows(found, each.columns)) for each in parts]
    titles = further(first)
    if titles:
        tables.append(percent_table("other measures", titles, rows(found, titles)))
    measures = [*(block.title for block in parts), *titles]
    told = explanations(measures, len(found) > 1)
    notes = RunResults(found, source.data.statistics).notes
    return Content(
        joined(
            [
                element("p", _how_to_read(len(found) > 1), class_="note"),
                element("div", *tables, class_="tables"),
                element("details", element("summary", "What the measures see"), listed(told)),
                element("details", element("summary", "The groups"), listed(notes)),
            ]
        )
    )


def _how_to_read(several: bool) -> str:
    text = "All numbers are percent."
    if not several:
        return text
    return (
        f"{text} Below each stands its difference to the first head. It has a colour where it is "
        "more than two standard errors, which stand behind it; it is in brackets where it is less. "
        "Without an error nothing is known of how sure it is."
    )


SECTION = Section("overview", "Results", make)
