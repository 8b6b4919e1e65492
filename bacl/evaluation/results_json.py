"""Reads LVIS results files (`results_writer.py` says what they are), any tool's."""

import logging
import zlib
from array import array
from pathlib import Path
from typing import Any

import numpy as np

from bacl.data.annotations.json_stream import open_bytes, stream_list
from bacl.data.annotations.table import AnnotationTable
from bacl.data.annotations.validation import (
    NUMBERS,
    AnnotationError,
    check_box,
    check_identifier,
)
from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.flat_columns import FlatColumns, labels_by_id
from bacl.evaluation.flat_parts import num_readers, read_parts
from bacl.evaluation.flat_records import read_pieces
from bacl.evaluation.mask_codes import no_masks
from bacl.evaluation.mask_reader import MaskReader
from bacl.evaluation.record_layout import OtherLayoutError
from bacl.evaluation.results_writer import ResultsWriter as ResultsWriter
from bacl.messages.shown import written

_LOG = logging.getLogger(__name__)
_CHUNK = 1 << 20  # characters
_PLACE = "record %d"


def load_results(path: str | Path, table: AnnotationTable, masks: bool = False) -> DetectionColumns:
    """Read a results file, any tool's, for `LVISAveragePrecision.update`.

    Memory holds the numbers and one piece of text. Records that are all written alike, as tools
    write them, are read as columns (`flat_records`), large files by several processes
    (`flat_parts.num_readers`); others, and masks, record by record. Fields other than the four, or
    five with `masks`, are skipped.

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
    if not masks and (found := _flat(path, table)) is not None:
        return found
    images, labels, numbers = array("q"), array("i"), array("d")
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
    boxes, scores = np.ascontiguousarray(values[:, :4]), np.ascontiguousarray(values[:, 4])
    return _columns(np.array(images), np.array(labels), boxes, scores, codes)


def _flat(path: Path, table: AnnotationTable) -> DetectionColumns | None:
    """What a file holds whose records are all written alike, and nothing is wrong with them."""
    try:
        found = _read_flat(path, labels_by_id(np.asarray(table.category_ids)))
    except (OtherLayoutError, OSError, EOFError, zlib.error):
        return None
    boxes = found.boxes.reshape(-1, 4)
    columns = _columns(found.images, found.labels, boxes, found.scores, None)
    known = np.isin(columns.image_ids, table.image_ids).all()
    finite = np.isfinite(columns.scores).all() and np.isfinite(columns.boxes).all()
    return columns if known and finite else None


def _read_flat(path: Path, label_of: np.ndarray) -> FlatColumns:
    readers = num_readers(path)
    if readers:
        try:
            return FlatColumns.joined(read_parts(path, label_of, readers))
        except (RuntimeError, OSError) as error:
            _LOG.warning("%s: read by one process, as several could not (%s)", path, error)
    with open_bytes(path) as file:
        return FlatColumns.of(read_pieces(file.read), label_of)


def _columns(
    images: np.ndarray,
    labels: np.ndarray,
    boxes: np.ndarray,
    scores: np.ndarray,
    codes: MaskReader | None,
) -> DetectionColumns:
    """Of records in the order of the file: image (D,), label (D,) int32, box (D, 4), score (D,)."""
    order: np.ndarray | slice = slice(None)
    if (images[1:] < images[:-1]).any():
        order = np.argsort(images, kind="stable")
        images, labels, boxes, scores = (each[order] for each in (images, labels, boxes, scores))
    first = np.flatnonzero(np.append(True, images[1:] != images[:-1])[: len(images)])
    image_ids, counts = images[first].astype(np.int64), np.diff(first, append=len(images))
    if codes is None:
        masks = no_masks(len(image_ids), len(images))
    else:
        masks = codes.columns(image_ids, np.arange(len(images))[order])
    return DetectionColumns(image_ids, counts, boxes, scores, labels, **masks)


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
