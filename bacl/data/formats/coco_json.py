"""What is in the pictures of a split as a COCO-format json, line by line."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bacl.data.annotations.choice_writer import START
from bacl.data.formats.labelled_folder import Objects

INFO = "converted"
"""Key of what such a file says of itself."""
Pictures = Sequence[tuple[str, Objects]]
"""Names of pictures, below the folder, and what is in them."""


def coco_json(pictures: Pictures, names: Sequence[str], told: Mapping[str, Any]) -> Iterator[str]:
    """Parts of the file.

    Args:
        pictures: in order; their ids are positions from 1.
        names: of all categories, in order; their ids are positions from 1.
        told: what the file says of itself.
    """
    ids = {name: number for number, name in enumerate(names, 1)}
    yield START + json.dumps({INFO: told})
    images = (
        {"id": n, "file_name": name, "width": each.width, "height": each.height}
        for n, (name, each) in enumerate(pictures, 1)
    )
    yield from _section("images", images)
    yield from _section("annotations", _annotations(pictures, ids))
    yield from _section("categories", ({"id": ids[name], "name": name} for name in names))
    yield "}\n"


def summary(pictures: Pictures, names: Sequence[str]) -> str:
    """How much there is of everything."""
    records = [record for _, each in pictures for record in each.records]
    counts = {
        "pictures": len(pictures),
        "of them without objects": sum(not each.records for _, each in pictures),
        "objects": len(records),
        "of them with polygons": sum("segmentation" in record for record in records),
        "of them difficult, which are ignored": sum("ignore" in record for record in records),
        "categories": len(names),
    }
    return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)


def _annotations(pictures: Pictures, ids: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    number = 0
    for image, (_, each) in enumerate(pictures, 1):
        for record in each.records:
            number += 1
            rest = {key: value for key, value in record.items() if key != "name"}
            yield {"id": number, "image_id": image, "category_id": ids[record["name"]], **rest}


def _section(name: str, records: Iterator[dict[str, Any]]) -> Iterator[str]:
    yield f',\n"{name}":['
    for number, record in enumerate(records):
        yield (",\n" if number else "\n") + json.dumps(record, separators=(",", ":"))
    yield "]"
