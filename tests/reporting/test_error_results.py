"""Tables, files and pictures of errors, of numbers by hand."""

import csv
import json
import re

import numpy as np
import pytest

from bacl.evaluation.errors.detection_kinds import DetectionKind
from bacl.evaluation.errors.error_findings import ErrorFindings, ShownDetections
from bacl.evaluation.errors.error_parts import ErrorParts
from bacl.evaluation.errors.object_fates import NONE, ObjectFate, ObjectFates
from bacl.evaluation.lvis_ap import groups_by_frequency
from bacl.evaluation.truth import GroundTruth
from bacl.reporting.error_results import ErrorResults
from bacl.reporting.error_tables import error_tables
from bacl.reporting.figures import draw_confusion, draw_errors

NAMES = ["lamp", "cup", "chair|s"]
GROUPING = groups_by_frequency(["r", "c", "f"])
IMAGES = 50


def truth(images=IMAGES):
    nothing = np.zeros(0, np.int64)
    empty = np.zeros(0, bool)
    return GroundTruth(
        np.arange(images), 3, nothing, nothing, np.zeros((0, 4)), np.zeros(0), empty, empty,
        np.ones(images * 3, np.uint8), np.arange(images),
    )  # fmt: skip


def found(called, shown=(), unjudged=(0, 0, 0), above=()):
    """Of one object of each category in every image, and what each of them is called.

    Args:
        called: (3,) labels, in every image the same; None: missed.
        shown: pairs of a label and a kind, in every image the same.
        unjudged: by category.
        above: labels of the objects over which something is that cannot be judged.
    """
    images = np.repeat(np.arange(IMAGES), 3)
    labels = np.tile([0, 1, 2], IMAGES)
    names = np.tile([NONE if each is None else each for each in called], IMAGES)
    fates = np.where(names == labels, ObjectFate.RIGHT, ObjectFate.WRONG_CATEGORY)
    fates = np.where(names == NONE, ObjectFate.MISSED, fates).astype(np.uint8)
    objects = ObjectFates(
        np.arange(len(labels)), images, labels, fates, names, np.ones(len(labels)),
        np.isin(labels, above),
    )  # fmt: skip
    number = len(shown)
    some = ShownDetections(
        np.repeat(np.arange(IMAGES), number),
        np.tile([label for label, _ in shown], IMAGES).astype(np.int64),
        np.ones(IMAGES * number),
        np.zeros((IMAGES * number, 4)),
        np.tile([kind for _, kind in shown], IMAGES).astype(np.uint8),
    )
    parts = ErrorParts(np.array([0.5, 0.25, -1]), {"missed": np.array([0.75, 0.25, -1])})
    return ErrorFindings(truth(), objects, 0.25, some, np.array(unjudged), parts)


REFERENCE = found([2, None, 2], [(2, DetectionKind.RIGHT), (2, DetectionKind.WRONG_CATEGORY)])
HEAD = found(
    [0, None, 0],
    [(0, DetectionKind.RIGHT), (0, DetectionKind.WRONG_CATEGORY)],
    unjudged=(1000, 0, 234),
    above=[1],
)
RESULTS = ErrorResults({"baseline": REFERENCE, "a_b": HEAD}, GROUPING, NAMES)


def test_rates_and_their_differences():
    lines = list(error_tables(RESULTS))
    assert "| objects | head | all | rare | common | frequent |" in lines
    assert "| right | baseline | 33.3 | 0.0 | 0.0 | 100.0 |" in lines
    row = "| right | a_b | 33.3 (≈ +0.0 ± 0.0) | 100.0 (+100.0 ± 0.0) | 0.0 (≈ +0.0 ± 0.0) | 0.0 (-100.0 ± 0.0) |"  # noqa: E501
    assert row in lines
    assert "| missed | baseline | 33.3 | 0.0 | 100.0 | 0.0 |" in lines
    assert "| wrong category | baseline | 33.3 | 0.0 | 0.0 | 100.0 |" in lines  # of detections
    assert any("from a head's threshold on (baseline 0.25" in each.lower() for each in lines)
    assert any("baseline 0, a_b 1,234 detections" in each for each in lines)


def test_errors_of_differences_are_by_bootstrap_over_images():
    objects = REFERENCE.objects
    half = objects.images < IMAGES // 2
    changed = np.where(half & (objects.labels == 0), ObjectFate.RIGHT, objects.fates)
    other = ObjectFates(
        objects.rows, objects.images, objects.labels, changed.astype(np.uint8), objects.found,
        objects.scores, objects.unjudged,
    )  # fmt: skip
    better = ErrorFindings(
        REFERENCE.truth, other, 0.25, REFERENCE.shown, REFERENCE.unjudged, REFERENCE.parts
    )
    results = ErrorResults({"one": REFERENCE, "two": better}, GROUPING, NAMES)
    right = results.rates["two"]["r"][0]
    assert (right.value, right.difference.value) == (0.5, 0.5)
    assert right.difference.error == pytest.approx(0.5 / IMAGES**0.5, rel=0.1)
    assert right.difference.sure


def test_costs_and_confused_pairs():
    lines = list(error_tables(RESULTS))
    assert "| all | baseline | 37.5 | 12.5 |" in lines
    assert "| rare | a_b | 50.0 | 25.0 |" in lines
    assert "| frequent | a_b | – | – |" in lines
    assert "| baseline | lamp (r) | chair\\|s (f) | 50 | 100.0 |" in lines
    assert "| a_b | chair\\|s (f) | lamp (r) | 50 | 100.0 |" in lines


def test_files(tmp_path):
    RESULTS.write(tmp_path, np.array([17, 3, 5]))
    rows = list(csv.DictReader((tmp_path / "errors.csv").open(newline="", encoding="utf-8")))
    assert len(rows) == 6
    first, last = rows[0], rows[5]
    assert [first[each] for each in ("id", "name", "group")] == ["17", "lamp", "r"]
    assert (first["objects"], first["object right"], first["object wrong category"]) == (
        "50",
        "0",
        "50",
    )
    assert (first["AP50"], first["AP50 gained by mending missed"]) == ("0.5", "0.25")
    assert (last["AP50"], last["detection unjudged"], last["detection right"]) == ("", "234", "0")
    content = json.loads((tmp_path / "errors.json").read_text(encoding="utf-8"))
    assert content["a_b"]["rates"]["r"]["object right"] == {
        "value": 1.0, "difference": 1.0, "error": 0.0, "sure": True,
    }  # fmt: skip
    assert content["baseline"]["rates"]["all"]["detection right"] == {"value": pytest.approx(1 / 3)}
    costs = {key: own["missed"] for key, own in content["baseline"]["costs"].items()}
    assert costs == {"all": 0.125, "r": 0.25, "c": 0.0, "f": None}
    pairs = list(csv.reader((tmp_path / "confusion.csv").open(newline="", encoding="utf-8")))
    assert pairs[1:] == [
        ["baseline", "17", "lamp", "5", "chair|s", "50", "1"],
        ["baseline", "3", "cup", "", "none", "50", "1"],
        ["baseline", "5", "chair|s", "5", "chair|s", "50", "1"],
        ["a_b", "17", "lamp", "17", "lamp", "50", "1"],
        ["a_b", "3", "cup", "", "unjudged", "50", "1"],
        ["a_b", "5", "chair|s", "17", "lamp", "50", "1"],
    ]


def nothing():
    """No object and no detection."""
    empty = np.zeros(0, np.int64)
    objects = ObjectFates(
        empty, empty, empty, empty.astype(np.uint8), empty, np.zeros(0), empty.astype(bool)
    )
    shown = ShownDetections(empty, empty, np.zeros(0), np.zeros((0, 4)), empty.astype(np.uint8))
    parts = ErrorParts(np.full(3, -1.0), {"missed": np.full(3, -1.0)})
    return ErrorFindings(truth(), objects, float("inf"), shown, np.zeros(3, np.int64), parts)


def test_nothing_is_dashes(tmp_path):
    results = ErrorResults({"one": nothing(), "two": nothing()}, GROUPING, NAMES)
    lines = list(error_tables(results))
    assert "| right | one | – | – | – | – |" in lines
    assert "| right | two | – | – | – | – |" in lines
    results.write(tmp_path, np.array([1, 2, 3]))
    content = (tmp_path / "errors.json").read_text(encoding="utf-8")
    assert json.loads(content)["two"]["threshold"] is None
    assert not re.search("NaN|Infinity", content)
    assert draw_errors(tmp_path / "errors.png", results.rates, GROUPING).exists()


def test_pictures(tmp_path, pixels):
    heads = {f"head_{number}": HEAD for number in range(2)}
    many = ErrorResults({"baseline": REFERENCE, **heads}, GROUPING, NAMES)
    path = draw_errors(tmp_path / "errors.png", many.rates, GROUPING)
    assert pixels(path, "#d55e00") > 1000  # wrong category
    assert many.contrasted == ["baseline", "head_0"]
    two = {name: many.confusions[name] for name in many.contrasted}
    path = draw_confusion(tmp_path / "two.png", two, np.arange(3), GROUPING, NAMES)
    assert pixels(path, "#08306b") > 100  # all of a category's objects
