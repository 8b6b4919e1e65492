"""LVIS results files: a json list of {image_id, category_id, bbox: [x, y, width, height], score}.

Detections with masks carry `segmentation: {size: [height, width], counts}`, compressed run lengths.
Pixels are the original file's. A name that ends in .gz means gzip. Numbers are written with all
their digits, so that the official evaluation of a file and ours of the detections agree.
"""

import json
from array import array
from collections.abc import Iterator
from itertools import islice, repeat
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bacl.data.annotations.json_stream import stream_list
from bacl.data.annotations.table import AnnotationTable
from bacl.data.annotations.validation import (
    NUMBERS,
    AnnotationError,
    check_box,
    check_identifier,
)
from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.json_list import JsonListWriter
from bacl.evaluation.mask_codes import no_masks
from bacl.evaluation.mask_reader import MaskReader
from bacl.messages.shown import written

_CHUNK = 1 << 20  # characters
_PLACE = "record %d"
_ROWS = 1 << 14  # detections that become text at once
_RECORD = '{"image_id":%d,"category_id":%d,"bbox":[%r,%r,%r,%r],"score":%r%s}'
_MASK = ',"segmentation":{"size":[%d,%d],"counts":%s}'


class Ids(Protocol):
    """What a results file needs to know of the data; an `AnnotationTable` does."""

    @property
    def image_ids(self) -> np.ndarray:
        """(I,) int64."""

    @property
    def category_ids(self) -> np.ndarray:
        """(C,) int64, by label."""


class ResultsWriter(JsonListWriter):
    """Writes detections as they come; the file appears, whole, when the block ends without error.

    Example:
        with ResultsWriter("detections.json.gz", table) as writer:
            writer.write_columns(metric.detections())
    """

    def __init__(self, path: str | Path, table: Ids) -> None:
        super().__init__(path)
        self._category_ids = np.asarray(table.category_ids)
        self._known_images = np.sort(table.image_ids)

    def write_columns(self, detections: DetectionColumns) -> None:
        """Append images; text is made of a few thousand detections at a time.

        Raises:
            ValueError: for detections that `LVISAveragePrecision.update` refuses.
        """
        detections.check(self._known_images, len(self._category_ids))
        images = np.repeat(detections.image_ids, detections.counts)
        masks = _mask_texts(detections)
        for first in range(0, len(images), _ROWS):
            rows = slice(first, first + _ROWS)
            records = zip(
                images[rows].tolist(),
                self._category_ids[detections.labels[rows]].tolist(),
                detections.boxes[rows].tolist(),
                detections.scores[rows].tolist(),
                islice(masks, len(images[rows])),
                strict=True,
            )
            self.write_texts(
                _RECORD % (image, label, *box, score, mask)
                for image, label, box, score, mask in records
            )


def load_results(path: str | Path, table: AnnotationTable, masks: bool = False) -> DetectionColumns:
    """Read a results file, any tool's, for `LVISAveragePrecision.update`.

    The file is read record by record: memory holds the numbers and one piece of text. Fields other
    than the four, or five with `masks`, are skipped.

    Args:
        path: the file.
        table: what was detected in.
        masks: read `segmentation`, which every record must then have, as compressed run lengths.

    Raises:
        AnnotationError: if the text is not a list of records, or a record lacks a field, has one
            twice, holds something else than finite numbers, or names an image or category that
            `table` does not have.
    """
    path = Path(path)
    images, labels, numbers = array("q"), array("q"), array("d")
    codes = MaskReader(path, table) if masks else None
    label_of = {int(category): label for label, category in enumerate(table.category_ids)}
    known = set(np.asarray(table.image_ids).tolist())
    for number, record in stream_list(path, _PLACE, _CHUNK):
        image, category, row = _fields(path, number, record)
        if image not in known or category not in label_of:
            name, value = ("category_id", category) if image in known else ("image_id", image)
            raise AnnotationError(
                path, _PLACE % number, f"{name} {value} is not in the annotations"
            )
        images.append(image)
        labels.append(label_of[category])
        numbers.extend(row)
        if codes is not None:
            codes.append(record.get("segmentation"), image, _PLACE % number)
    values = np.array(numbers).reshape(-1, 5)
    broken = ~np.isfinite(values).all(1)
    if broken.any():
        place = _PLACE % int(broken.argmax())
        raise AnnotationError(path, place, "bbox or score is not finite")
    return _columns(np.array(images), np.array(labels), values, codes)


def _mask_texts(detections: DetectionColumns) -> Iterator[str]:
    """The end of each record."""
    if not len(detections.codes):
        yield from repeat("", len(detections.scores))
        return
    masks, known = detections.masks, (detections.code_lengths > 0).tolist()
    for row, has_mask in enumerate(known):
        mask = masks[row]
        yield _MASK % (*mask["size"], json.dumps(mask["counts"].decode())) if has_mask else ""


def _columns(
    images: np.ndarray, labels: np.ndarray, numbers: np.ndarray, codes: MaskReader | None
) -> DetectionColumns:
    order = np.argsort(images, kind="stable")
    image_ids, counts = np.unique(images, return_counts=True)
    numbers = numbers[order]
    return DetectionColumns(
        image_ids.astype(np.int64),
        counts.astype(np.int64),
        np.ascontiguousarray(numbers[:, :4]),
        np.ascontiguousarray(numbers[:, 4]),
        labels[order].astype(np.int32),
        **(
            no_masks(len(image_ids), len(order))
            if codes is None
            else codes.columns(image_ids, order)
        ),
    )


def _fields(path: Path, number: int, record: dict[str, Any]) -> tuple[int, int, list[float]]:
    """Image, category, and box and score; diagnosis, slow, runs on failure only."""
    try:
        x, y, width, height = record["bbox"]
        row = [x, y, width, height, record["score"]]
        image, category = record["image_id"], record["category_id"]
        if not NUMBERS.issuperset(map(type, row)) or not type(image) is type(category) is int:
            raise TypeError
        return image, category, list(map(float, row))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _field_error(path, _PLACE % number, record) from error


def _field_error(path: Path, place: str, record: dict[str, Any]) -> AnnotationError:
    """What is wrong with the first of a record's fields that is no good."""
    try:
        check_identifier(path, place, record, "image_id")
        check_identifier(path, place, record, "category_id")
        check_box(path, place, record.get("bbox"), found="bbox" in record)
    except AnnotationError as error:
        return error
    found = written(record["score"]) if "score" in record else "is missing"
    return AnnotationError(path, f"{place}.score", f"{found}, expected a number")
