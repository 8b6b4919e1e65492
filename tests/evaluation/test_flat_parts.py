"""Large results files are read by several processes, to what one reads."""

import gzip
import json
import multiprocessing
import os
import signal

import numpy as np
import pytest
import torch

from bacl.data.annotations.validation import AnnotationError
from bacl.evaluation import flat_parts, flat_records, results_json
from bacl.evaluation.flat_columns import FlatColumns, labels_by_id
from bacl.evaluation.flat_parts import num_readers, read_parts
from bacl.evaluation.flat_records import read_pieces
from bacl.evaluation.record_layout import OtherLayoutError
from bacl.evaluation.results_json import load_results

LABEL_OF = labels_by_id(np.array([3, 7]))


def records(count):
    draw = np.random.default_rng(count)
    return [
        {
            "image_id": int(draw.integers(1, 4)),
            "category_id": int(draw.choice([3, 7])),
            "bbox": draw.random(4).tolist(),
            "score": float(draw.choice([draw.random(), 1e-7, 1.0])),
        }
        for _ in range(count)
    ]


@pytest.fixture
def table(open_table):
    lists = {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    image = {"file_name": "a.jpg", "height": 9, "width": 9, **lists}
    return open_table(
        {
            "images": [{"id": i, **image} for i in (1, 2, 3)],
            "categories": [{"id": i, "name": str(i), "frequency": "c"} for i in (3, 7)],
            "annotations": [
                {"id": 1, "image_id": 1, "category_id": 7, "bbox": [1.0, 1, 5, 5], "area": 25.0}
            ],
        }
    )[1]


@pytest.fixture
def small(monkeypatch):
    """Parts of a few records, read in pieces of fewer."""
    monkeypatch.setattr(flat_parts, "LARGE", 0)
    monkeypatch.setattr(flat_parts, "_OF_EACH", 1)
    monkeypatch.setattr(flat_parts, "_PART", 700)
    monkeypatch.setattr(flat_records, "_PIECE", 300)
    for module in (flat_parts, flat_records):
        monkeypatch.setattr(module, "LONGEST", 400)


@pytest.fixture
def threads(monkeypatch):
    def use(torchs, cores=16):
        monkeypatch.setattr(torch, "get_num_threads", lambda: torchs)
        monkeypatch.setattr(flat_parts, "usable_cores", lambda: cores)

    return use


def parts_of(file, text, readers=0):
    file.write_text(text, encoding="utf-8")
    return list(read_parts(file, LABEL_OF, readers))


def equal(one, other):
    pairs = zip(one, other, strict=True)
    return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in pairs)


WAYS = {
    "as json writes it": json.dumps,
    "without spaces": lambda all_: json.dumps(all_, separators=(",", ":")),
    "over lines": lambda all_: "\n" + json.dumps(all_, indent=2) + "\n",
    "with a byte order mark": lambda all_: "\ufeff" + json.dumps(all_),
    "exponents with E": lambda all_: json.dumps(all_).replace("e-", "E-"),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("count", [1, 2, 3, 40])
def test_cuts_do_not_show(tmp_path, small, way, count):
    parts = parts_of(tmp_path / "results.json", way(records(count)))
    with (tmp_path / "results.json").open("rb") as file:
        whole = FlatColumns.of(read_pieces(file.read), LABEL_OF)
    assert equal(FlatColumns.joined(parts), whole)
    assert len(whole.scores) == count
    assert len(parts) > 5 or count < 40


def test_processes_hand_over_in_order(tmp_path, small):
    text = json.dumps(records(60))
    mine = FlatColumns.joined(parts_of(tmp_path / "results.json", text))
    theirs = FlatColumns.joined(parts_of(tmp_path / "results.json", text, readers=2))
    assert equal(mine, theirs)


@pytest.mark.parametrize("number", [0, 1, 20, 39])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"score"', '"scor3e"'),
        ('"score":', '"score": 1,'),
        ('"category_id": 7', '"category_id": 8'),
        ('"category_id": 7', '"category_id": 7.0'),
        ("}", "}}"),
        ("{", ", {"),
        ("{", "[{"),
        ("}", "]"),
    ],
)
def test_what_one_would_not_read_so_several_do_not(tmp_path, small, number, old, new):
    texts = [json.dumps(each | {"category_id": 7}) for each in records(40)]
    texts[number] = texts[number].replace(old, new)
    with pytest.raises(OtherLayoutError):
        parts_of(tmp_path / "results.json", f"[{', '.join(texts)}]")


@pytest.mark.parametrize("end", ["", "]]", ", ]", "] 5", "],"])
def test_the_end_of_the_list_is_looked_at(tmp_path, small, end):
    with pytest.raises(OtherLayoutError):
        parts_of(tmp_path / "results.json", json.dumps(records(40))[:-1] + end)


@pytest.mark.parametrize("text", ["", "[", "[]", "{}", "[5]", "[{", "5, {}"])
def test_what_is_no_list_of_records_has_no_parts(tmp_path, small, text):
    with pytest.raises(OtherLayoutError):
        parts_of(tmp_path / "results.json", text)


def test_a_file_is_read_so_and_its_errors_are_the_same(
    table, tmp_path, small, threads, monkeypatch
):
    file, wrong = tmp_path / "results.json", records(30)
    file.write_text(json.dumps(wrong), encoding="utf-8")
    threads(1)
    alone = load_results(file, table)
    threads(2)
    with monkeypatch.context() as without:
        without.setattr(results_json, "stream_list", None)
        without.setattr(results_json, "read_pieces", None)
        several = load_results(file, table)
    assert several.scores.tobytes() == alone.scores.tobytes()
    assert several.image_ids.tolist() == [1, 2, 3]
    wrong[23]["category_id"] = 5
    file.write_text(json.dumps(wrong), encoding="utf-8")
    with pytest.raises(AnnotationError, match="record 23: category_id 5 is not in the annotations"):
        load_results(file, table)


def test_a_reader_that_the_system_ends_leaves_the_file_to_one_process(
    table, tmp_path, small, threads, monkeypatch, caplog
):
    file, test = tmp_path / "results.json", os.getpid()
    file.write_text(json.dumps(records(60)), encoding="utf-8")
    threads(1)
    alone = load_results(file, table)
    threads(2)
    read = flat_parts.read_part

    def ended(*arguments):
        if os.getpid() != test:
            os.kill(os.getpid(), signal.SIGKILL)
        return read(*arguments)

    monkeypatch.setattr(flat_parts, "read_part", ended)
    monkeypatch.setattr(results_json, "stream_list", None)
    found = load_results(file, table)
    assert found.scores.tobytes() == alone.scores.tobytes()
    assert "results.json: read by one process, as several could not (DataLoader" in caplog.text


def test_where_no_reader_can_start_one_process_reads(
    table, tmp_path, small, threads, monkeypatch, caplog
):
    def none_more(*_):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    file = tmp_path / "results.json"
    file.write_text(json.dumps(records(30)), encoding="utf-8")
    threads(2)
    monkeypatch.setattr(os, "fork", none_more)
    monkeypatch.setattr(results_json, "stream_list", None)
    assert len(load_results(file, table).scores) == 30
    assert "could not ([Errno 11] Resource temporarily" in caplog.text


def test_readers_are_threads_within_the_cores(tmp_path, threads, monkeypatch):
    file = tmp_path / "results.json"
    file.write_bytes(b"x" * 100)
    threads(8, cores=4)
    assert num_readers(file) == 0
    monkeypatch.setattr(flat_parts, "LARGE", 100)
    monkeypatch.setattr(flat_parts, "_OF_EACH", 1)
    assert num_readers(file) == 4
    threads(3, cores=4)
    assert num_readers(file) == 3
    threads(64, cores=64)
    assert num_readers(file) == flat_parts.MOST
    monkeypatch.setattr(flat_parts, "_OF_EACH", 30)
    assert num_readers(file) == 3
    threads(1, cores=4)
    assert num_readers(file) == 0
    threads(4, cores=1)
    assert num_readers(file) == 0


def test_none_where_none_can_start_and_of_packed_files(tmp_path, threads, monkeypatch):
    threads(4)
    monkeypatch.setattr(flat_parts, "LARGE", 0)
    monkeypatch.setattr(flat_parts, "_OF_EACH", 1)
    packed, plain = tmp_path / "results.json.gz", tmp_path / "results.json"
    packed.write_bytes(gzip.compress(os.urandom(50)))
    plain.write_bytes(b"x" * 9)
    assert num_readers(packed) == 0
    assert num_readers(plain) == 4
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)
    assert num_readers(plain) == 0
