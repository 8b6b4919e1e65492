"""The pages of the runs that are compared."""

import os
from pathlib import Path
from urllib.parse import quote

from bacl.messages.shown import shown
from bacl.reporting.html.markup import Markup, element, listed
from bacl.reporting.html.section import Content, LeftOut, Section
from bacl.reporting.html.sweep_source import SweepSource


def make(source: SweepSource) -> Content:
    """A link to the page in each folder of a run, for as long as they are moved together."""
    pages = sorted(source.runs.glob("*/seed_*/*/report.html"))
    if not pages:
        raise LeftOut("no run has a report.html")
    return Content(listed(_link(source, path) for path in pages))


def _link(source: SweepSource, path: Path) -> Markup:
    way = quote(os.path.relpath(path, source.folder))
    return element("a", shown(path.parent.relative_to(source.runs), 200), href=way)


SECTION = Section("runs", "Runs", make)
