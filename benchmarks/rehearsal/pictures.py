"""Data of LVIS's size of a few thousand drawn scenes."""

import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from bacl.data.builtin.data_set import BuiltinPaths, build

OBJECTS = (8, 16)
SIDE = 128
"""Of a picture, in pixels."""
RARE, COMMON = 10, 100
"""Images of a category at most, as LVIS groups them."""
Record = dict[str, Any]


def scenes(folder: Path, categories: int, train: int, val: int) -> BuiltinPaths:
    """Draw them."""
    sizes = {"object_size": (10, 24), "seed": 0}
    return build(folder, categories, train, val, SIDE, OBJECTS, **sizes)


def write_split(annotations: Path, pictures: Path, folder: Path, split: str, images: int) -> int:
    """Write so many images, which are the scenes of a file again and again; how many annotations.

    Scenes with a rare category come once each, that it stays rare. The pictures are hard links.
    """
    content = json.loads(annotations.read_text(encoding="utf-8"))
    of_scene: dict[int, list[Record]] = defaultdict(list)
    for each in content["annotations"]:
        of_scene[each.pop("image_id")].append(each)
    copies = _copies(content, of_scene, images)
    (folder / split).mkdir(parents=True)
    records: list[Record] = []
    written = 0
    with (folder / f"{split}.json").open("w", encoding="utf-8") as file:
        file.write('{"info": {}, "licenses": [], "annotations": [')
        for scene, count in zip(content["images"], copies.tolist(), strict=True):
            texts = [json.dumps(each)[1:] for each in of_scene[scene["id"]]]  # from "id" on
            for copy in range(count):
                records.append(_linked(scene, copy, len(records) + 1, pictures, folder / split))
                for text in texts:
                    written += 1
                    start = ",\n" if written > 1 else ""
                    rest = text.partition(", ")[2]
                    file.write(f'{start}{{"id": {written}, "image_id": {len(records)}, {rest}')
        file.write(f'], "images": {json.dumps(records)}, ')
        file.write(f'"categories": {json.dumps(_grouped(content, of_scene, copies))}}}')
    return written


def _linked(scene: Record, copy: int, identifier: int, pictures: Path, folder: Path) -> Record:
    name = f"{Path(scene['file_name']).stem}_{copy:04}.jpg"
    os.link(pictures / scene["file_name"], folder / name)
    return {**scene, "id": identifier, "file_name": name}


def _copies(content: Record, of_scene: dict[int, list[Record]], images: int) -> np.ndarray:
    """(S,) how often each scene comes, at least once where there are as many images as scenes."""
    present = [{each["category_id"] for each in of_scene[s["id"]]} for s in content["images"]]
    counts = np.bincount([category for each in present for category in each])
    rare = np.array([min((counts[c] for c in each), default=0) <= RARE for each in present])
    copies = np.ones(len(present), np.int64)
    others = np.flatnonzero(~rare) if (~rare).any() else np.arange(len(present))
    more, rest = divmod(max(0, images - len(copies)), len(others))
    copies[others] += more
    copies[others[:rest]] += 1
    return copies if images >= len(copies) else (np.arange(len(copies)) < images).astype(np.int64)


def _grouped(
    content: Record, of_scene: dict[int, list[Record]], copies: np.ndarray
) -> list[Record]:
    """Categories with the counts and groups of what was written."""
    images: dict[int, int] = defaultdict(int)
    instances: dict[int, int] = defaultdict(int)
    for scene, count in zip(content["images"], copies.tolist(), strict=True):
        own = [each["category_id"] for each in of_scene[scene["id"]]]
        for category in own:
            instances[category] += count
        for category in set(own):
            images[category] += count
    return [
        {
            **each,
            "image_count": images[each["id"]],
            "instance_count": instances[each["id"]],
            "frequency": "rcf"[int(np.searchsorted([RARE, COMMON], images[each["id"]]))],
        }
        for each in content["categories"]
    ]
