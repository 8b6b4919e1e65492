"""Files and sheets of suspected errors of annotations."""

import csv
import json

import numpy as np
import pytest

from bacl.data.annotations.table import AnnotationTable
from bacl.evaluation.errors.suspicions import LabelSuspicions, SuspicionKind
from bacl.reporting.figures import Cutout, draw_cutouts
from bacl.reporting.label_errors import caption_lines, suspected, write_label_errors

NAMES = ["=cup", "mug"]


def suspicion(kind, row, label, images=(1,)):
    number = len(images)
    return LabelSuspicions(
        kind, np.array(images), np.tile([1.0, 2.0, 3.0, 4.5], (number, 1)), np.full(number, row),
        np.full(number, label), np.full(number, 1), np.full(number, 0.75),
    )  # fmt: skip


@pytest.fixture
def table(tmp_path):
    """Two images, the one with the higher id first in the file; a name like a formula."""
    content = {
        "images": [
            {"id": 9, "file_name": "nine.jpg", "height": 50, "width": 60},
            {"id": 4, "file_name": "four.jpg", "height": 50, "width": 60},
        ],
        "annotations": [
            {"id": 77, "image_id": 9, "category_id": 3, "bbox": [1, 2, 3, 4.5], "area": 13.5}
        ],
        "categories": [{"id": 3, "name": NAMES[0]}, {"id": 5, "name": NAMES[1]}],
    }
    file = tmp_path / "annotations.json"
    file.write_text(json.dumps(content))
    return AnnotationTable.open(file, cache=tmp_path / "cache")


def test_lines_name_image_annotation_and_categories(table, tmp_path):
    found = [
        suspicion(SuspicionKind.CONTRADICTED, 0, 0),
        suspicion(SuspicionKind.NOT_ANNOTATED, -1, -1, images=(0,)),
    ]
    write_label_errors(tmp_path / "label_errors.csv", found, table)
    with (tmp_path / "label_errors.csv").open(newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    box = ["1", "2", "3", "4.5"]
    assert lines == [
        ["contradicted", "0.75", "9", "nine.jpg", "77", "3", "'=cup", "5", "mug", *box],
        ["not annotated", "0.75", "4", "four.jpg", "", "", "", "5", "mug", *box],
    ]
    assert header[-4:] == ["x", "y", "width", "height"]


def test_captions():
    assert caption_lines(suspicion(SuspicionKind.TWO_LABELS, 0, 0), 0, NAMES) == (
        "=cup",
        "0.75 mug",
    )
    missing = suspicion(SuspicionKind.NOT_ANNOTATED, -1, -1)
    assert caption_lines(missing, 0, NAMES) == ("not annotated", "0.75 mug")


def test_a_sheet_of_boxes_at_and_beyond_the_edges(tmp_path, pixels):
    image = np.zeros((40, 60, 3), np.uint8)
    boxes = [(10, 10, 20, 20), (-5, -5, 10, 10), (55, 35, 30, 30), (70, 70, 5, 5), (0, 0, 60, 40)]
    sheet = [Cutout(image, box, ("$x$ mug", "0.9 cup")) for box in [*boxes, *boxes]]
    path = draw_cutouts(tmp_path / "sheet.png", sheet, "suspected")
    assert pixels(path, "#d55e00") > 100
    assert pixels(path, "#000000") > 10_000


def test_nothing_is_suspected_where_errors_were_not_looked_at():
    assert suspected({}, 24) == []
