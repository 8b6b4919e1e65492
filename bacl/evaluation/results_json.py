"""LVIS results files: a json list of {image_id, category_id, bbox: [x, y, width, height], score}.

Detections with masks carry `segmentation: {size: [height, width], counts}`, compressed run lengths.
Pixels are the original file's. A name that ends in .gz means gzip. Numbers are written with all
their digits, so that the official evaluation of a file and ours of the detections agree.
"""

import gzip
import json
import re
from array import array
from collections.abc import Iterator
from itertools import islice, repeat
from operator import index
from pathlib import Path
from typing import Any, Protocol, TextIO

import numpy as np

from bacl.data.table import AnnotationTable
from bacl.evaluation.columns import DetectionColumns
from bacl.evaluation.json_list import JsonListWriter
from bacl.evaluation.mask_codes import no_masks
from bacl.evaluation.mask_reader import MaskReader

_CHUNK = 1 << 20  # characters; also the longest record that is understood
_GAP = re.compile(r"\s*,?\s*")
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
        ValueError: if the text is not a list of records, or a record lacks a field, holds something
            else than finite numbers, or names an image or category that `table` does not have.
    """
    path = Path(path)
    images, labels, numbers = array("q"), array("q"), array("d")
    codes = MaskReader(table) if masks else None
    label_of = {int(category): label for label, category in enumerate(table.category_ids)}
    known = set(np.asarray(table.image_ids).tolist())
    opened: Any = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8") as stream:
            for count, record in enumerate(_records(stream, path)):
                where = f"{path}: record {count}"
                image, category, row = _fields(record, where)
                if image not in known:
                    raise ValueError(f"{where}: image_id {image} is not in the annotations")
                if category not in label_of:
                    raise ValueError(f"{where}: category_id {category} is not in the annotations")
                images.append(image)
                labels.append(label_of[category])
                numbers.extend(row)
                if codes is not None:
                    codes.append(record.get("segmentation"), image, where)
    except (EOFError, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    values = np.array(numbers).reshape(-1, 5)
    broken = ~np.isfinite(values).all(1)
    if broken.any():
        raise ValueError(f"{path}: record {broken.argmax()}: bbox or score is not finite")
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


def _fields(record: Any, where: str) -> tuple[int, int, list[float]]:
    try:
        image, category = index(record["image_id"]), index(record["category_id"])
        x, y, width, height = record["bbox"]
        values = [float(x), float(y), float(width), float(height), float(record["score"])]
    except KeyError as error:
        raise ValueError(f"{where}: field {error} is missing") from error
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{where} is not {{image_id, category_id, bbox: [x, y, width, height], score}}: {error}"
        ) from error
    return image, category, values


def _records(stream: TextIO, path: Path) -> Iterator[Any]:
    """The elements of a json list, one by one."""
    decode = json.JSONDecoder().raw_decode
    text = stream.read(_CHUNK).lstrip()
    if not text.startswith("["):
        raise ValueError(
            f"{path}: a results file is a json list, but this begins with {text[:20]!r}"
        )
    position, count = 1, 0
    while True:
        position = _GAP.match(text, position).end()  # type: ignore[union-attr]
        if text.startswith("]", position):
            return
        try:
            record, position = decode(text, position)
        except json.JSONDecodeError as error:  # the record may go on in the next piece
            more = stream.read(_CHUNK)
            if not more or len(text) - position > _CHUNK:
                raise ValueError(
                    f"{path}: record {count} is cut off or broken: {error.msg}"
                ) from error
            text, position = text[position:] + more, 0
            continue
        yield record
        count += 1
