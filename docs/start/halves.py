"""Annotation files of some of the built-in categories each, for docs/start.md.

python docs/start/halves.py data/builtin_70_seed0 writes beside train.json and val.json, for both:

* first_….json, second_….json: of the categories by falling number of training images, every other
  one is in the first half, so that both have a long tail;
* changed_….json: the first half without one of its categories, with one of the second half, and
  with another one renamed.
"""

import json
import sys
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

LISTS = ("neg_category_ids", "not_exhaustive_category_ids")
REMOVED, RENAMED, ADDED = 3, 5, 4
"""Places in the first half, in the first and in the second."""
NAME = "renamed_letter"


def part(
    annotations: dict[str, Any], chosen: Set[int], names: Mapping[int, str] | None = None
) -> dict[str, Any]:
    """What is annotated of the chosen categories, some of them under other names."""
    images, categories = annotations["images"], annotations["categories"]
    return annotations | {
        "images": [
            image | {name: [each for each in image[name] if each in chosen] for name in LISTS}
            for image in images
        ],
        "categories": [
            each | {"name": (names or {}).get(each["id"], each["name"])}
            for each in categories
            if each["id"] in chosen
        ],
        "annotations": [
            each for each in annotations["annotations"] if each["category_id"] in chosen
        ],
    }


def main(folder: Path) -> None:
    """Write all of them, by the training file's counts."""
    files = {
        split: json.loads((folder / f"{split}.json").read_text()) for split in ("train", "val")
    }
    counted = sorted(files["train"]["categories"], key=lambda each: -each["image_count"])
    ranked = [each["id"] for each in counted]
    first, second = ranked[::2], ranked[1::2]
    changed = (set(first) - {first[REMOVED]}) | {second[ADDED]}
    for split, whole in files.items():
        written = {
            "first": part(whole, set(first)),
            "second": part(whole, set(second)),
            "changed": part(whole, changed, {first[RENAMED]: NAME}),
        }
        for name, annotations in written.items():
            (folder / f"{name}_{split}.json").write_text(json.dumps(annotations))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
