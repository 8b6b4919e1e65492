"""From the json file to the columns: one streaming pass, vectorised checks, one sort by image.

A annotations, C categories, I images. Nothing holds the file's objects: beside the columns the
memory in use is a few blocks of text, so that LVIS v1 (1.1 GB of json) is read in a few hundred MB.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bacl.data.annotations.column_files import Ragged, save_column
from bacl.data.annotations.json_stream import stream_records
from bacl.data.annotations.records import FEDERATED, RecordColumns
from bacl.data.annotations.segmentation import Segmentations
from bacl.data.annotations.segmentation_writer import SegmentationWriter
from bacl.data.annotations.soundness import Soundness
from bacl.data.annotations.validation import SECTIONS, AnnotationError, check_unique, positions

LAYOUT = 5
"""Number of the column layout: raise it with every change of what this module writes."""

FREQUENT, COMMON = 100, 10
"""A category of more than 100 training images is frequent, of more than 10 common (LVIS)."""


def build_table(file: Path, folder: Path, advance: Callable[[int], None]) -> None:
    """Read `file` and write the table's columns and `table.json` into the empty `folder`.

    Args:
        file: A COCO- or LVIS-format json.
        folder: Where the columns go.
        advance: Called with the number of characters read.

    Raises:
        AnnotationError: naming the first record that cannot be used.
    """
    records = RecordColumns(file)
    with SegmentationWriter(folder, file) as segmentations:
        collect = {"images": records.image, "categories": records.category}
        for section, number, record in stream_records(file, SECTIONS, advance):
            if section == "annotations":
                records.annotation(number, record)
                segmentations.append(record.get("segmentation"))
            else:
                collect[section](number, record)
    _check(records)
    sizes = np.asarray(records.image_sizes).reshape(-1, 2)
    image_ids = np.asarray(records.image_ids)
    owners = positions(
        file, lambda n: f"annotations[{n}].image_id", np.asarray(records.owners), image_ids, "image"
    )
    segmentations.check_sizes(sizes[owners])
    order = np.argsort(owners, kind="stable")
    segmentations.save(order)
    _save_images(folder, records, np.bincount(owners, minlength=len(image_ids)))
    report = _save_annotations(folder, records, sizes[owners[order]], order)
    report["small_polygons"] = segmentations.dropped_polygons
    report["images_without_annotations"] = len(image_ids) - len(np.unique(owners))
    _save_categories(folder, records, owners, report)


def _check(records: RecordColumns) -> None:
    category_ids = np.array([category["id"] for category in records.categories], dtype=np.int64)
    for section, identifiers in (
        ("images", np.asarray(records.image_ids)),
        ("categories", category_ids),
        ("annotations", np.asarray(records.annotation_ids)),
    ):
        if section != "annotations" and not len(identifiers):
            raise AnnotationError(records.file, section, "is empty")
        check_unique(records.file, section, identifiers)
    records.check_numbers()
    # From here on categories stand by ascending id: their position is the label.
    records.categories.sort(key=lambda category: category["id"])
    records.drop_root()


def _save_images(folder: Path, records: RecordColumns, per_image: np.ndarray) -> None:
    save_column(folder, "image_ids", np.asarray(records.image_ids))
    save_column(folder, "image_sizes", np.asarray(records.image_sizes).reshape(-1, 2))
    save_column(folder, "offsets", np.concatenate([[0], np.cumsum(per_image)]).astype(np.int64))
    Ragged.save_texts(folder, "file_names", records.names)
    for kind, field in FEDERATED.items():
        lengths = np.asarray(records.federated_lengths[kind])
        holder = np.repeat(np.arange(len(lengths)), lengths)
        place = lambda n, holder=holder, field=field: f"images[{holder[n]}].{field}"  # noqa: E731
        labels = _labels(records, place, np.asarray(records.federated[kind]))
        Ragged.save(folder, kind, labels.astype(np.int32), lengths)


def _labels(
    records: RecordColumns, place: Callable[[int], str], category_ids: np.ndarray
) -> np.ndarray:
    known = np.array([category["id"] for category in records.categories])
    return positions(records.file, place, category_ids, known, "category")


def _save_annotations(
    folder: Path, records: RecordColumns, sizes: np.ndarray, order: np.ndarray
) -> dict[str, int]:
    """Write the columns of annotations by image, `sizes` (A, 2) too; returns the counts."""
    labels = _labels(
        records, lambda n: f"annotations[{n}].category_id", np.asarray(records.classes)
    )
    segmentations = Segmentations(folder)
    sound = Soundness.of(records, sizes, order, segmentations)
    save_column(folder, "annotation_ids", np.asarray(records.annotation_ids)[order])
    save_column(folder, "labels", labels[order].astype(np.int32))
    sound.save(folder)
    return {
        "images": len(records.image_ids),
        "annotations": len(order),
        "categories": len(records.categories),
        **sound.counts(),
        "without_area": len(records.without_area),
        "without_segmentation": int((~segmentations.present()).sum()),
    }


def _save_categories(
    folder: Path, records: RecordColumns, owners: np.ndarray, report: dict[str, int]
) -> None:
    """Write counts per category (crowd and ignored regions aside), groups and `table.json`."""
    counted = ~(np.asarray(records.crowd, dtype=bool) | np.asarray(records.ignored, dtype=bool))
    number = len(records.categories)
    labels = _labels(records, str, np.asarray(records.classes))[counted]
    per_image = np.unique(owners[counted] * number + labels) % number
    image_counts = np.bincount(per_image, minlength=number)
    save_column(folder, "image_counts", image_counts)
    save_column(folder, "instance_counts", np.bincount(labels, minlength=number))
    given = [category["frequency"] for category in records.categories]
    frequency = given if all(given) else frequency_groups(image_counts).tolist()
    description: dict[str, Any] = {
        "category_ids": [category["id"] for category in records.categories],
        "category_names": [category["name"] for category in records.categories],
        "frequency": frequency,
        "frequency_derived": not all(given),
        "exhaustive": not records.is_federated,
        "root": records.root,
        "report": report,
    }
    (folder / "table.json").write_text(json.dumps(description), encoding="utf-8")


def frequency_groups(image_counts: np.ndarray) -> np.ndarray:
    """LVIS's groups by training images, (C,) '<U1': 'r' up to 10, 'c' up to 100, 'f' above."""
    return np.where(image_counts > FREQUENT, "f", np.where(image_counts > COMMON, "c", "r"))
