"""LVIS results files: a json list of {image_id, category_id, bbox: [x, y, width, height], score}.

Detections with masks carry `segmentation: {size: [height, width], counts}`, compressed run lengths.
Pixels are the original file's. A name that ends in .gz means gzip. Numbers are written with all
their digits, so that the official evaluation of a file and ours of the detections agree.
"""

import json
from collections.abc import Iterator
from itertools import islice, repeat
from pathlib import Path
from typing import Protocol

import numpy as np

from bacl.evaluation.column_checks import check_boxes
from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.json_list import JsonListWriter

_ROWS = 1 << 14  # detections that become text at once
_RECORD = '{"image_id":%d,"category_id":%d,"bbox":[%r,%r,%r,%r],"score":%r%s}'
_MASK = ',"segmentation":{"size":[%d,%d],"counts":%s}'


class Ids(Protocol):
    """What a results file needs to know of the data; an `AnnotationTable` does."""

    @property
    def image_ids(self) -> np.ndarray | None:
        """(I,) int64; None where any image will do."""

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
        known = table.image_ids
        self._known_images = None if known is None else np.sort(known)

    def write_columns(self, detections: DetectionColumns) -> None:
        """Append images; text is made of a few thousand detections at a time.

        Raises:
            ValueError: for detections that `LVISAveragePrecision.update` refuses.
        """
        known = self._known_images
        known = np.unique(detections.image_ids) if known is None else known
        check_boxes(detections, known, len(self._category_ids))
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


def _mask_texts(detections: DetectionColumns) -> Iterator[str]:
    """The end of each record."""
    if not len(detections.codes):
        yield from repeat("", len(detections.scores))
        return
    masks, known = detections.masks, (detections.code_lengths > 0).tolist()
    for row, has_mask in enumerate(known):
        mask = masks[row]
        yield _MASK % (*mask["size"], json.dumps(mask["counts"].decode())) if has_mask else ""
