"""Draws pictures of an offline run with the boxes of some layers, a row for each, into one file.

python docs/wandb/read_back.py RUN/classifier/wandb/offline-run-… ground_truth bacl out.png
"""

import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw
from wandb.proto.wandb_internal_pb2 import Record

PICTURES = 3
BLOCK = 32 * 1024
KEY = "examples/detections"
COLOURS = ("#e8590c", "#1971c2", "#2f9e44", "#c2255c", "#5f3dc4", "#0b7285")
SCALE = 3
"""Pixels of the drawn picture for one of the logged."""


def drawn(picture: Path, layer: Path) -> Image.Image:
    """A picture with the boxes of a layer, a colour for each category."""
    with Image.open(picture) as logged:
        width, height = (SCALE * side for side in logged.size)
        image = logged.convert("RGB").resize((width, height))
    draw = ImageDraw.Draw(image)
    for box in json.loads(layer.read_text(encoding="utf-8"))["box_data"]:
        left, top, right, bottom = box["position"].values()
        corners = (left * width, top * height, right * width, bottom * height)
        colour = COLOURS[box["class_id"] % len(COLOURS)]
        draw.rectangle(corners, outline=colour, width=2)
        draw.text((corners[0] + 3, max(corners[1] - 12, 0)), box["box_caption"], fill=colour)
    return image


def main(run: Path, layers: list[str], path: Path) -> None:
    """A row for each layer, a column for each picture."""
    files, logged = run / "files", last_logged(run, KEY)
    pairs = list(zip(logged["filenames"], logged["all_boxes"], strict=True))
    rows = [
        [drawn(files / name, files / boxes[layer]["path"]) for name, boxes in pairs[:PICTURES]]
        for layer in layers
    ]
    width, height = (max(each.size[side] for row in rows for each in row) for side in (0, 1))
    sheet = Image.new("RGB", (len(rows[0]) * width, len(rows) * height), "white")
    for y, row in enumerate(rows):
        for x, each in enumerate(row):
            sheet.paste(each, (x * width, y * height))
    sheet.save(path)


def last_logged(run: Path, key: str) -> dict[str, Any]:
    """The fields of what was logged last under a key."""
    found: dict[str, Any] = {}
    [log] = run.glob("run-*.wandb")
    for data in records(log.read_bytes()):
        for item in Record.FromString(data).history.item:
            if item.nested_key[:1] == [key]:
                found[".".join(item.nested_key[1:])] = json.loads(item.value_json)
    return found


def records(log: bytes) -> Iterator[bytes]:
    """Those of a log in LevelDB's format, as W&B writes it, after its own 7 bytes."""
    place, record = 7, b""
    while place + 7 <= len(log):
        left = BLOCK - place % BLOCK
        if left < 7:
            place += left
            continue
        _, size, kind = struct.unpack("<IHB", log[place : place + 7])
        record += log[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # a whole record, or the last part of one
            yield record
            record = b""


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:-1], Path(sys.argv[-1]))
