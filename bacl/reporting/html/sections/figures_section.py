"""The figures of the run that the page does not draw itself."""

import base64
from pathlib import Path

from PIL import Image

from bacl.reporting.html.markup import Markup, element, joined
from bacl.reporting.html.section import Content, LeftOut, Section, Source
from bacl.reporting.html.sweep_source import SweepSource

DRAWN = (
    "ap_by_count",
    "detections",
    "label_errors",
    "losses",
    "reliability",
    "shift_curves",
    "validations",
)
"""How the names of figures begin that other sections have, to look into."""
LARGEST = 600_000
"""Bytes of a figure; a larger one is left in its folder."""


def make(source: Source) -> Content:
    """Whatever lies in the folder of figures."""
    paths = sorted((source.folder / "figures").glob("*.png"))
    return _shown([path for path in paths if not path.stem.startswith(DRAWN)])


def make_of_tables(source: SweepSource) -> Content:
    """Those of the tables."""
    paths = [source.folder / f"{table.key}.png" for table in source.tables]
    return _shown([path for path in paths if path.is_file()])


def _shown(paths: list[Path]) -> Content:
    if not paths:
        raise LeftOut("there is none")
    return Content(joined(map(_figure, paths)))


def _figure(path: Path) -> Markup:
    title = path.stem.replace("_", " ")
    if path.stat().st_size > LARGEST:
        return element("p", f"{title}: figures/{path.name}", class_="note")
    source = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
    caption = element("figcaption", element("h3", title))
    with Image.open(path) as picture:
        width, height = map(str, picture.size)
    size = {"width": width, "height": height}  # so that nothing moves when it is shown
    image = element("img", src=source, alt=title, loading="lazy", class_="paper", **size)
    return element("figure", caption, image)


SECTION = Section("figures", "Figures", make)
OF_TABLES = Section("figures", "Figures", make_of_tables)
