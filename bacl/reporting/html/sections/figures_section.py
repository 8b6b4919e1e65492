"""The figures of the run that the page does not draw itself."""

import base64
from pathlib import Path

from bacl.reporting.html.markup import Markup, element, joined
from bacl.reporting.html.section import Content, LeftOut, Section, Source

DRAWN = {"ap_by_count", "detections", "losses", "shift_curves"}
"""Figures that other sections have, to look into."""
LARGEST = 600_000
"""Bytes of a figure; a larger one is left in its folder."""


def make(source: Source) -> Content:
    """Whatever lies in the folder of figures."""
    paths = sorted((source.folder / "figures").glob("*.png"))
    shown = [path for path in paths if path.stem not in DRAWN]
    if not shown:
        raise LeftOut("there is none")
    return Content(joined(map(_figure, shown)))


def _figure(path: Path) -> Markup:
    title = path.stem.replace("_", " ")
    if path.stat().st_size > LARGEST:
        return element("p", f"{title}: figures/{path.name}", class_="note")
    source = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
    caption = element("figcaption", element("h3", title))
    image = element("img", src=source, alt=title, loading="lazy", class_="paper")
    return element("figure", caption, image)


SECTION = Section("figures", "Figures", make)
