"""The records of an annotation file, collected into compact columns in file order."""

from array import array
from pathlib import Path
from typing import Any

import numpy as np

from bacl.data.annotations.image_names import check_file_name, image_name
from bacl.data.annotations.validation import (
    FARTHEST,
    AnnotationError,
    check_annotation,
    check_identifier,
    check_size,
    check_text,
)
from bacl.messages.shown import written

FEDERATED = {"negative": "neg_category_ids", "not_exhaustive": "not_exhaustive_category_ids"}
"""Column name and field of the lists that only LVIS-format images have."""


class RecordColumns:
    """About 80 bytes per annotation while a file is read, instead of thousands for its objects.

    Args:
        file: The annotation file, named in errors.

    Raises:
        AnnotationError: from `category`, `image`, `annotation`, for a record that is no good.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.categories: list[dict[str, Any]] = []
        self.root: str | None = None
        """Name of a category that is none, see `drop_root`."""
        self.image_ids, self.image_sizes = array("q"), array("i")
        self.names: list[str] = []
        self.federated = {kind: array("q") for kind in FEDERATED}
        self.federated_lengths = {kind: array("q") for kind in FEDERATED}
        self.is_federated = False
        self.annotation_ids, self.owners, self.classes = array("q"), array("q"), array("q")
        self.boxes, self.areas = array("d"), array("d")
        self.crowd, self.ignored = array("b"), array("b")
        self.without_area = array("q")

    def category(self, number: int, record: dict[str, Any]) -> None:
        """Collect a category: `id`, `name` and, where LVIS gives it, `frequency`."""
        place = f"categories[{number}]"
        check_identifier(self.file, place, record, "id")
        check_text(self.file, place, record, "name")
        frequency = record.get("frequency")
        if frequency not in (None, "r", "c", "f"):
            problem = f"{written(frequency)}, expected 'r', 'c' or 'f'"
            raise AnnotationError(self.file, f"{place}.frequency", problem)
        kept = ("id", "name", "frequency", "supercategory")
        self.categories.append({key: record.get(key) for key in kept})

    def drop_root(self) -> None:
        """Leave out the category 0 where it stands for all others alone, and for no object.

        Some exports list what they call the project so: it is the supercategory of others, and no
        annotation and no image's list names it. As a class it would be an output that is never
        right.
        """
        above = [each["supercategory"] for each in self.categories if each["id"] != 0]
        roots = [each for each in self.categories if each["id"] == 0 and each["name"] in above]
        named = (self.classes, *self.federated.values())
        if roots and not any(0 in identifiers for identifiers in named):
            self.categories.remove(roots[0])
            self.root = roots[0]["name"]

    def image(self, number: int, record: dict[str, Any]) -> None:
        """Collect an image: `id`, `height`, `width`, `file_name` or `coco_url`, federated lists."""
        place = f"images[{number}]"
        check_identifier(self.file, place, record, "id")
        check_size(self.file, place, record)
        name = image_name(record)
        if not isinstance(name, str):
            found = "is missing" if name is None else written(name)
            raise AnnotationError(self.file, f"{place}.file_name", f"{found}, expected a text")
        check_file_name(self.file, f"{place}.file_name", name)
        self.image_ids.append(record["id"])
        self.image_sizes.extend((record["height"], record["width"]))
        self.names.append(name)
        self.is_federated |= any(field in record for field in FEDERATED.values())
        for kind, field in FEDERATED.items():
            listed = record.get(field, [])
            try:
                if not isinstance(listed, list) or not {int}.issuperset(map(type, listed)):
                    raise TypeError
                self.federated[kind].extend(listed)
            except (TypeError, OverflowError):
                problem = f"{written(listed)}, expected a list of category ids"
                raise AnnotationError(self.file, f"{place}.{field}", problem) from None
            self.federated_lengths[kind].append(len(listed))

    def annotation(self, number: int, record: dict[str, Any]) -> None:
        """Collect an annotation but for its segmentation; diagnosis, slow, runs on failure only."""
        try:
            x, y, width, height = record["bbox"]
            identifiers = record["id"], record["image_id"], record["category_id"]
            area = record.get("area")
            # Arrays take true and false for numbers.
            if bool in map(type, (x, y, width, height, area, *identifiers)):
                raise TypeError
            self.boxes.extend((x, y, width, height))
            self.annotation_ids.append(identifiers[0])
            self.owners.append(identifiers[1])
            self.classes.append(identifiers[2])
            self.crowd.append(record.get("iscrowd", 0))
            self.ignored.append(record.get("ignore", 0))
            if area is None:
                self.without_area.append(number)
            self.areas.append(0.0 if area is None else area)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            place = f"annotations[{number}]"
            check_annotation(self.file, place, record)
            raise AnnotationError(self.file, place, f"cannot be used: {error}") from error

    def check_numbers(self) -> None:
        """Raise for the first box or area of no size that is, or flag that is not 0 or 1."""
        boxes = np.asarray(self.boxes).reshape(-1, 4)
        flags = np.asarray(self.crowd) | np.asarray(self.ignored)
        good = (np.abs(boxes) <= FARTHEST).all(axis=1) & (flags & ~1 == 0)
        good &= np.abs(self.areas) <= FARTHEST**2
        if not good.all():
            bad = int(np.argmin(good))
            record = {
                "id": self.annotation_ids[bad],
                "image_id": self.owners[bad],
                "category_id": self.classes[bad],
                "bbox": boxes[bad].tolist(),
                "area": self.areas[bad],
                "iscrowd": self.crowd[bad],
                "ignore": self.ignored[bad],
            }
            place = f"annotations[{bad}]"
            check_annotation(self.file, place, record)
            raise AnnotationError(self.file, place, "holds a number that cannot be")
