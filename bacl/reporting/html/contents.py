"""The page of a run: which sections it has, in which order."""

from pathlib import Path

from bacl.reporting.html.page import Page
from bacl.reporting.html.section import Section, Source
from bacl.reporting.html.sections.categories_section import SECTION as CATEGORIES
from bacl.reporting.html.sections.choice_section import SECTION as CHOICE
from bacl.reporting.html.sections.curves_section import SECTION as CURVES
from bacl.reporting.html.sections.examples_section import SECTION as EXAMPLES
from bacl.reporting.html.sections.figures_section import SECTION as FIGURES
from bacl.reporting.html.sections.overview_section import SECTION as OVERVIEW
from bacl.reporting.html.sections.pictures_section import SECTION as PICTURES
from bacl.reporting.html.sections.reproduction_section import SECTION as REPRODUCTION

SECTIONS: tuple[Section, ...] = (
    OVERVIEW,
    CHOICE,
    CURVES,
    PICTURES,
    CATEGORIES,
    EXAMPLES,
    FIGURES,
    REPRODUCTION,
)


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
