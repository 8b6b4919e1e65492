import gzip
import json

import numpy as np
import pytest
import torch

from bacl.data.annotations.validation import AnnotationError
from bacl.data.batch import Detections
from bacl.evaluation import results_json, results_writer
from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.lvis_ap import LVISAveragePrecision
from bacl.evaluation.results_json import load_results
from bacl.evaluation.results_writer import ResultsWriter


@pytest.fixture
def table(open_table):
    images = [
        {"id": image_id, "file_name": f"{image_id}.jpg", "height": 99, "width": 99}
        | {"neg_category_ids": [], "not_exhaustive_category_ids": []}
        for image_id in (9, 4, 6)
    ]
    categories = [{"id": i, "name": str(i), "frequency": "c"} for i in (7, 3)]
    box = {"bbox": [10.0, 10.0, 50.0, 50.0], "area": 2500.0}
    annotations = [{"id": 1, "image_id": 4, "category_id": 7} | box]
    return open_table({"images": images, "categories": categories, "annotations": annotations})[1]


def draw_detections(count):
    corner, size = torch.rand(count, 2) * 40, torch.rand(count, 2) * 40 + 10
    boxes = torch.cat([corner, corner + size], dim=1)
    return Detections(boxes, torch.rand(count).sort(descending=True)[0], torch.arange(count) % 2)


columns = DetectionColumns.from_detections


@pytest.mark.parametrize("name", ["results.json", "results.json.gz"])
def test_what_is_read_is_what_was_written_to_the_last_bit(table, tmp_path, name):
    detections, ids = [draw_detections(5), draw_detections(0), draw_detections(3)], [9, 4, 6]
    given = columns(detections, ids)
    with ResultsWriter(tmp_path / "new" / name, table) as writer:
        writer.write_columns(columns(detections[:1], ids[:1]))
        writer.write_columns(columns(detections[1:], ids[1:]))
    read = load_results(tmp_path / "new" / name, table)
    assert read.image_ids.tolist() == [6, 9]
    assert read.counts.tolist() == [3, 5]
    order = [5, 6, 7, 0, 1, 2, 3, 4]
    assert np.array_equal(read.boxes, given.boxes[order])
    assert np.array_equal(read.scores, given.scores[order])
    assert np.array_equal(read.labels, given.labels[order])
    metrics = [LVISAveragePrecision(table) for _ in range(2)]
    metrics[0].update(detections, ids)
    metrics[1].update(read)
    assert metrics[0].compute() == metrics[1].compute()


def test_format_is_the_official_one(table, tmp_path):
    box = torch.tensor([[1.5, 2.0, 4.0, 8.25]])
    with ResultsWriter(tmp_path / "results.json", table) as writer:
        one = Detections(box, torch.tensor([0.75]), torch.tensor([1]))
        writer.write_columns(columns([one], [6]))
    expected = {"image_id": 6, "category_id": 7, "bbox": [1.5, 2.0, 2.5, 6.25], "score": 0.75}
    assert json.loads((tmp_path / "results.json").read_text()) == [expected]


def test_equal_detections_give_equal_bytes(table, tmp_path):
    detections = [draw_detections(4)]
    for name in ("a.json.gz", "b.json.gz"):
        with ResultsWriter(tmp_path / name, table) as writer:
            writer.write_columns(columns(detections, [9]))
    assert (tmp_path / "a.json.gz").read_bytes() == (tmp_path / "b.json.gz").read_bytes()


def test_pieces_do_not_show(table, tmp_path, monkeypatch):
    given = columns([draw_detections(5), draw_detections(0), draw_detections(2)], [9, 4, 6])
    for name, rows in (("one.json", 100), ("seven.json", 1), ("three.json", 3)):
        monkeypatch.setattr(results_writer, "_ROWS", rows)
        with ResultsWriter(tmp_path / name, table) as writer:
            writer.write_columns(given)
    texts = [(tmp_path / f"{name}.json").read_bytes() for name in ("one", "seven", "three")]
    assert len(json.loads(texts[0])) == 7
    assert texts[0] == texts[1] == texts[2]


@pytest.mark.parametrize("write", [True, False])
def test_no_detections(table, tmp_path, write):
    with ResultsWriter(tmp_path / "results.json", table) as writer:
        if write:
            writer.write_columns(columns([draw_detections(0)], [9]))
    assert json.loads((tmp_path / "results.json").read_text()) == []
    assert len(load_results(tmp_path / "results.json", table).scores) == 0


@pytest.mark.parametrize("name", ["results.json", "results.json.gz"])
def test_an_interrupted_writer_leaves_the_old_file(table, tmp_path, name):
    (tmp_path / "old").mkdir()
    file = tmp_path / "old" / name
    file.write_text("old")

    def interrupted():
        with ResultsWriter(file, table) as writer:
            writer.write_columns(columns([draw_detections(5)], [9]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert file.read_text() == "old"
    assert [path.name for path in file.parent.iterdir()] == [name]


def test_the_writer_refuses_what_the_metric_refuses(table, tmp_path):
    with (
        pytest.raises(ValueError, match="image id 5 "),
        ResultsWriter(tmp_path / "results.json", table) as writer,
    ):
        writer.write_columns(columns([draw_detections(1)], [5]))
    assert not (tmp_path / "results.json").exists()


@pytest.mark.parametrize("indent", [None, 2])
def test_records_may_be_mixed_spread_over_pieces_and_carry_more(
    table, tmp_path, monkeypatch, indent
):
    monkeypatch.setattr(results_json, "_CHUNK", 260)
    more = {"segmentation": {"size": [9, 9], "counts": "]},{"}}
    records = [
        {"score": i / 8, "image_id": 9 - 5 * (i % 2), "category_id": 3, "bbox": [i, 0, 1, 1]} | more
        for i in range(7)
    ]
    (tmp_path / "results.json").write_text("\n " + json.dumps(records, indent=indent))
    read = load_results(tmp_path / "results.json", table)
    assert read.image_ids.tolist() == [4, 9]
    assert read.counts.tolist() == [3, 4]
    assert read.boxes[:, 0].tolist() == [1, 3, 5, 0, 2, 4, 6]
    assert read.scores.tolist() == [i / 8 for i in (1, 3, 5, 0, 2, 4, 6)]
    assert read.labels.tolist() == [0] * 7


GOOD = {"image_id": 9, "category_id": 3, "bbox": [0, 0, 1, 1], "score": 0.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps({"annotations": []}), "expected a JSON list, found text that starts"),
        ("", "ends early .expected a list of objects"),
        (json.dumps([GOOD])[:-5], "record 0: the file ends early"),
        (json.dumps([GOOD])[:-1], "record 1: the file ends early"),
        (json.dumps([GOOD, {"image_id": 9}]), "record 1.category_id: is missing"),
        (json.dumps([GOOD, 5]), "record 1: 5, expected an object"),
        (json.dumps([GOOD | {"bbox": [1, 2, 3]}]), "record 0.bbox: .1, 2, 3., expected .x, y"),
        (json.dumps([GOOD | {"score": None}]), "record 0.score: None, expected a number"),
        (json.dumps([GOOD | {"image_id": "9"}]), "record 0.image_id: '9', expected an integer"),
        (json.dumps([GOOD | {"image_id": True}]), "record 0.image_id: True, expected an integer"),
        (json.dumps([GOOD | {"category_id": 3.0}]), "record 0.category_id: 3.0, expected an int"),
        (json.dumps([GOOD | {"bbox": "1234"}]), "record 0.bbox: '1234', expected .x, y, width"),
        (
            json.dumps([GOOD | {"bbox": [0, 0, True, 1]}]),
            "record 0.bbox: .0, 0, True, 1., expected",
        ),
        (json.dumps([GOOD | {"bbox": [0, 0, 1, 10**400]}]), "record 0.bbox: .0, 0, 1, 10000000"),
        (json.dumps([GOOD | {"score": "0.5"}]), "record 0.score: '0.5', expected a number"),
        (json.dumps([GOOD | {"score": True}]), "record 0.score: True, expected a number"),
        (json.dumps([GOOD])[:-2] + ', "score": 1}]', "record 0: 'score' stands twice in it"),
        (json.dumps([GOOD]) + "]", "text after the end of the list"),
        (json.dumps([GOOD])[:-1] + ",]", "record 1: .*a comma too many"),
        ("[" * 100_000, "record 0: is nested too deeply"),
        ('[{"score": ' + "9" * 5000 + "}]", "record 0: holds a number of thousands of digits"),
        (json.dumps([GOOD, GOOD | {"score": float("nan")}]), "record 1: .*not finite"),
        (json.dumps([GOOD | {"image_id": 5}]), "record 0: image_id 5 is not in the annotations"),
        (json.dumps([GOOD | {"category_id": 5}]), "record 0: category_id 5 is not in the annot"),
    ],
)
def test_bad_files_are_named(table, tmp_path, text, message):
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(AnnotationError, match=rf"results\.json.*{message}"):
        load_results(tmp_path / "results.json", table)


def test_a_cut_off_gzip_file_is_named(table, tmp_path):
    packed = gzip.compress(json.dumps([GOOD] * 99).encode())
    (tmp_path / "results.json.gz").write_bytes(packed[:-20])
    with pytest.raises(ValueError, match=r"results\.json\.gz.*cannot be read"):
        load_results(tmp_path / "results.json.gz", table)
    (tmp_path / "results.json.gz").write_text("[]")
    with pytest.raises(ValueError, match=r"results\.json\.gz.*cannot be read"):
        load_results(tmp_path / "results.json.gz", table)


def test_a_byte_order_mark_is_no_part_of_the_list(table, tmp_path):
    (tmp_path / "results.json").write_bytes(b"\xef\xbb\xbf" + json.dumps([GOOD]).encode())
    assert load_results(tmp_path / "results.json", table).scores.tolist() == [0.5]
