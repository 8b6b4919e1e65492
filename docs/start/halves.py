"""Annotation files of one half of the categories each, for docs/start.md.

python docs/start/halves.py data/builtin_70_seed0 writes first_train.json, first_val.json,
second_train.json and second_val.json beside train.json and val.json: of the categories by falling
number of training images, every other one is in the first half, so that both have a long tail.
"""

import json
import sys
from pathlib import Path
from typing import Any

LISTS = ("neg_category_ids", "not_exhaustive_category_ids")


def half(annotations: dict[str, Any], chosen: set[int]) -> dict[str, Any]:
    """What is annotated of the chosen categories."""
    kept = {
        "images": [
            image | {name: [each for each in image[name] if each in chosen] for name in LISTS}
            for image in annotations["images"]
        ],
        "categories": [each for each in annotations["categories"] if each["id"] in chosen],
        "annotations": [
            each for each in annotations["annotations"] if each["category_id"] in chosen
        ],
    }
    return annotations | kept


def main(folder: Path) -> None:
    """Split both files of a data set by the training file's counts."""
    files = {
        split: json.loads((folder / f"{split}.json").read_text()) for split in ("train", "val")
    }
    ranked = sorted(files["train"]["categories"], key=lambda each: -each["image_count"])
    for name, categories in (("first", ranked[::2]), ("second", ranked[1::2])):
        chosen = {each["id"] for each in categories}
        for split, annotations in files.items():
            text = json.dumps(half(annotations, chosen))
            (folder / f"{name}_{split}.json").write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
