"""The page of a run, and that of many: which sections they have, in which order."""

from pathlib import Path

from bacl.reporting.html.page import Page
from bacl.reporting.html.section import Section, Source
from bacl.reporting.html.sections import (
    ablations_section,
    categories_section,
    choice_section,
    curves_section,
    data_section,
    diagnosis_section,
    errors_section,
    examples_section,
    figures_section,
    label_errors_section,
    overview_section,
    pages_section,
    pictures_section,
    reproduction_section,
    thresholds_section,
)
from bacl.reporting.html.sweep_source import SweepSource

SECTIONS: tuple[Section, ...] = (
    overview_section.SECTION,
    diagnosis_section.SECTION,
    choice_section.SECTION,
    errors_section.SECTION,
    thresholds_section.SECTION,
    curves_section.SECTION,
    pictures_section.SECTION,
    categories_section.SECTION,
    examples_section.SECTION,
    label_errors_section.SECTION,
    figures_section.SECTION,
    data_section.SECTION,
    reproduction_section.SECTION,
)
"""Of a run."""
OF_TABLES: tuple[Section, ...] = (
    ablations_section.SECTION,
    figures_section.OF_TABLES,
    pages_section.SECTION,
    reproduction_section.OF_TABLES,
)
"""Of runs side by side."""


def write_page(path: Path, title: str, source: Source) -> None:
    """Write the page of a run as a whole or not at all.

    Raises:
        UnwritableError: names the file and what is to be done.
    """
    table = source.data.val_table
    subtitle = (
        f"{len(source.evaluations)} heads, {table.num_categories:,} categories, "
        f"{source.first.part or f'{table.num_images:,} validation images'}"
    )
    Page(title, subtitle, SECTIONS).write(path, source)


def write_comparison(path: Path, title: str, source: SweepSource) -> None:
    """Write the page of runs side by side as a whole or not at all.

    Raises:
        UnwritableError: names the file and what is to be done.
    """
    rows = sum(len(table.rows) for table in source.tables)
    Page(title, f"{rows} settings", OF_TABLES).write(path, source)
