"""Annotations that may be wrong, and objects that may lack one, with cut-outs of the pictures."""

import csv
from collections.abc import Mapping, Sequence

import numpy as np

from bacl.messages.shown import shown
from bacl.reporting.html.markup import Markup, element, joined
from bacl.reporting.html.section import Content, LeftOut, Section, Source
from bacl.reporting.html.square_cuts import cut_outs
from bacl.reporting.spreadsheet import text_of

TOLD = (
    "What all heads say against the annotations, the surest first. Look before you change one. "
    "label_errors.csv has all of them."
)
PICTURES = 24
"""Of a kind."""
CORNERS = ("x", "y", "width", "height")


def make(source: Source) -> Content:
    """From label_errors.csv, which has the boxes."""
    try:
        path = source.file("label_errors.csv")
    except LeftOut:
        raise LeftOut("nothing was suspected, or errors were not looked at") from None
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    if not lines:
        raise LeftOut("nothing was suspected")
    kinds: dict[str, list[Mapping[str, str]]] = {}
    for line in lines:
        kinds.setdefault(line["kind"], []).append(line)
    parts = [_of_kind(source, kind, own[:PICTURES]) for kind, own in kinds.items()]
    return Content(joined([element("p", TOLD, class_="note"), *parts]))


def _of_kind(source: Source, kind: str, lines: Sequence[Mapping[str, str]]) -> Markup:
    table, files = source.data.val_table, source.data.val_set.files
    rows = {image_id: row for row, image_id in enumerate(table.image_ids.tolist())}
    images = np.array([rows[int(line["image_id"])] for line in lines])
    boxes = np.array([[float(line[side]) for side in CORNERS] for line in lines])
    pictures = cut_outs(files, images, boxes)
    items = [_item(line, picture) for line, picture in zip(lines, pictures, strict=True)]
    return joined([element("h3", kind), element("ul", *items, class_="strip")])


def _item(line: Mapping[str, str], picture: str) -> Markup:
    annotated = shown(text_of(line["category"])) if line["category"] else "not annotated"
    suggested = f"{shown(text_of(line['suggested']))} {float(line['confidence']):.2f}"
    image = element("img", src=picture, width="96", height="96", alt="") if picture else ""
    place = shown(text_of(line["file_name"]))
    return element("li", image, annotated, element("br"), "→ ", suggested, element("br"), place)


SECTION = Section("label_errors", "Suspected annotations", make)
