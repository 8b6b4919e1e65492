"""How runs ended, and files that do not say it."""

import json

import pytest

from bacl.evaluation.measures import Measure, undeclared
from bacl.runs.outcome import DONE, FAILED, Outcome, read_outcome, write_done, write_failed

RESULTS = {"bacl": {"AP": 0.25}}


def test_a_finished_run_says_what_it_measured(tmp_path):
    write_failed(tmp_path, "killed")
    write_done(tmp_path, "classifier", RESULTS, 1.0)
    told = undeclared(list(RESULTS["bacl"]))
    expected = Outcome("done", "classifier", 1.0, results=RESULTS, declared=told)
    assert read_outcome(tmp_path) == expected  # as versions did that said names alone
    measures = [Measure("AP", "mean", "main", "r"), Measure("segm/AP", "AP", "all", of_masks=True)]
    write_done(tmp_path, "classifier", RESULTS, 1.0, measures)
    assert read_outcome(tmp_path).declared == measures
    assert read_outcome(tmp_path, "representation").status == "unfinished"
    assert not (tmp_path / FAILED).exists()


def test_a_failed_run_says_why(tmp_path):
    write_failed(tmp_path, "killed")
    assert read_outcome(tmp_path) == Outcome("failed", reason="killed")


DAMAGED = {
    "empty": b"", "binary": bytes(range(256)), "null": b"null", "a list": b"[]", "a number": b"5",
    "an object": b"{}", "nested": b"[" * 100_000, "another encoding": "{}".encode("utf-16"),
    "cut short": json.dumps({"stage": "classifier", "results": RESULTS}).encode()[:-9],
    "no numbers": b'{"stage": "a", "seconds": 1, "results": {"bacl": {"AP": "much"}}}',
    "no measure": b'{"stage": "a", "seconds": 1, "results": {}, "measures": [{"name": 5}]}',
    "no measures": b'{"stage": "a", "seconds": 1, "results": {"bacl": 5}}',
}  # fmt: skip


@pytest.mark.parametrize("name", [DONE, FAILED])
@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_does_not_count_and_is_told(tmp_path, capsys, name, content):
    (tmp_path / "config.yaml").touch()
    (tmp_path / name).write_bytes(content)
    assert read_outcome(tmp_path).status == "unfinished"
    assert capsys.readouterr().out.count("\n") == 1


def test_a_folder_in_place_of_the_file_does_not_count(tmp_path, capsys):
    (tmp_path / DONE).mkdir()
    assert read_outcome(tmp_path).status == "not run"
    assert "is damaged" in capsys.readouterr().out


def test_a_part_of_the_images_is_told(tmp_path):
    write_done(tmp_path, "classifier", RESULTS, 1.0, part="4 of 6 images")
    assert read_outcome(tmp_path).part == "4 of 6 images"
