import csv
import json

import numpy as np
import pytest
import torch
from rich.console import Console

from bacl.evaluation.coco_ap import groups_by_count
from bacl.evaluation.lvis_ap import groups_by_frequency
from bacl.reporting.results import RunResults, describe_groups
from tests.evaluations import evaluation, statistics

RESULTS = {
    "baseline": {
        "AP": torch.tensor(0.2242), "AP50": 0.35, "AP75": 0.24, "APs": 0.1, "APr": -1.0,
        "APc": 0.2, "APf": 0.301, "AR@300": 0.4, "ARs@300": 0.9,
    },
    "bacl": {
        "AP": 0.278, "AP50": 0.35004, "AP75": 0.2399, "APs": 0.1, "APr": 0.1, "APc": 0.27,
        "APf": 0.29, "AR@300": 0.45, "ARs@300": 0.1,
    },
}  # fmt: skip
COUNTS = statistics("abcd", "rcff", [3, 50, 400, 1000], [4, 90, 12000, 345])
LVIS = groups_by_frequency(["r", "c", "f", "f"])


def found(results=RESULTS, grouping=LVIS, part: str = "") -> RunResults:
    values = {head: evaluation(own, grouping, part=part) for head, own in results.items()}
    return RunResults(values, COUNTS)


def test_markdown_in_percent_with_differences():
    assert found().markdown().splitlines() == [
        "| head | AP | AP50 | AP75 | AP_r | AP_c | AP_f | AR |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
        "| baseline | 22.4 | 35.0 | 24.0 | – | 20.0 | 30.1 | 40.0 |",
        "| bacl | 27.8 (+5.4) | 35.0 (+0.0) | 24.0 (+0.0) | 10.0 | 27.0 (+7.0) | 29.0 (-1.1) "
        "| 45.0 (+5.0) |",
        "",
        "- rare: 1 category of 3 to 3 training images, 4 instances",
        "- common: 1 category of 50 to 50 training images, 90 instances",
        "- frequent: 2 categories of 400 to 1,000 training images, 12,345 instances",
    ]


def test_console_table_has_the_same_numbers():
    console = Console(width=120, color_system=None)
    with console.capture() as capture:
        console.print(found().console_table())
    text = capture.get()
    for part in ("baseline", "AP_r", "22.4", "–", "+5.4", "-1.1", "12,345 instances"):
        assert part in text


def test_single_head_has_no_differences():
    text = found({"bce": RESULTS["bacl"]}).markdown()
    assert "(" not in text


def test_metric_that_was_not_computed_is_a_dash():
    assert "| bce | 50.0 | – | – | – | – | – | – |" in found({"bce": {"AP": 0.5}}).markdown()


def test_masks_have_rows_of_their_own_and_are_compared_with_masks():
    results = {
        "baseline": {"AP": 0.2, "segm/AP": 0.194, "segm/APr": 0.013, "segm/AR@300": 0.3},
        "bacl": {"AP": 0.3, "segm/AP": 0.254, "segm/APr": 0.177, "segm/AR@300": 0.2},
        "boxes": {"AP": 0.1},
    }
    rows = found(results).markdown().splitlines()[2:7]
    assert rows == [
        "| baseline | 20.0 | – | – | – | – | – | – |",
        "| baseline masks | 19.4 | – | – | 1.3 | – | – | 30.0 |",
        "| bacl | 30.0 (+10.0) | – | – | – | – | – | – |",
        "| bacl masks | 25.4 (+6.0) | – | – | 17.7 (+16.4) | – | – | 20.0 (-10.0) |",
        "| boxes | 10.0 (-10.0) | – | – | – | – | – | – |",
    ]


def test_groups_by_instances_stand_in_place_of_those_by_images():
    judged = {"AP": 0.268, "AP1": 0.144, "AP2": 0.208, "AP3": -1.0, "AP4": 0.319, "AR@300": 0.4}
    grouping = groups_by_count(COUNTS.instance_counts.numpy(), [20, 400, 8000])
    assert found({"bacl": judged}, grouping).markdown().splitlines() == [
        "| head | AP | AP50 | AP75 | AP_1 | AP_2 | AP_3 | AP_4 | AR |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
        "| bacl | 26.8 | – | – | 14.4 | 20.8 | – | 31.9 | 40.0 |",
        "",
        "- 1 (under 20): 1 category of 4 to 4 training instances, 4 instances",
        "- 2 (20 to 399): 2 categories of 90 to 345 training instances, 435 instances",
        "- 4 (8,000 and more): 1 category of 12,000 to 12,000 training instances, 12,000 instances",
    ]


def test_only_groups_with_categories_are_described():
    counts = statistics("ab", "rr", [0, 5], [0, 7])
    assert describe_groups(groups_by_frequency(["r", "r"]), counts) == [
        "rare: 2 categories of 0 to 5 training images, 7 instances"
    ]


PER_CATEGORY = {"AP": np.array([0.5, -1.0]), "num_detections": np.array([7, 0])}


def write(folder, per_category=PER_CATEGORY, part: str = ""):
    grouping = groups_by_frequency(["f", "r"])
    counts = statistics(["cup, small", "lamp"], "fr", [120, 3], [500, 4])
    evaluations = {
        "bce": evaluation(RESULTS["baseline"], grouping, per_category, part),
        "bacl": evaluation(RESULTS["bacl"], grouping, part=part),
    }
    RunResults(evaluations, counts).write(folder, np.array([17, 3]))


def test_files(tmp_path):
    write(tmp_path / "run")
    content = json.loads((tmp_path / "run" / "results.json").read_text())
    assert content["bce"]["APr"] is None
    assert content["bacl"]["AP"] == 0.278
    rows = list(csv.DictReader((tmp_path / "run" / "per_category.csv").open(newline="")))
    assert rows == [
        {
            "id": "17", "name": "cup, small", "group": "f", "train_images": "120",
            "train_instances": "500", "bce.AP": "0.5", "bce.num_detections": "7",
        },
        {
            "id": "3", "name": "lamp", "group": "r", "train_images": "3",
            "train_instances": "4", "bce.AP": "", "bce.num_detections": "0",
        },
    ]  # fmt: skip
    assert {p.name for p in (tmp_path / "run").iterdir()} == {"results.json", "per_category.csv"}


def test_column_of_another_length_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"bce\.AP.*2 categories"):
        write(tmp_path, per_category={"AP": np.zeros(3)})
    assert not list(tmp_path.iterdir())


def test_a_part_of_the_data_is_told_wherever_results_are(tmp_path):
    results = found(part="40 of 617 images")
    text = results.markdown()
    assert "- evaluated on 40 of 617 images: not comparable with all of them" in text.splitlines()
    console = Console(width=120, color_system=None)
    with console.capture() as capture:
        console.print(results.console_table())
    assert "40 of 617 images" in capture.get()
    write(tmp_path, part="40 of 617 images")
    assert json.loads((tmp_path / "results.json").read_text())["evaluated"] == "40 of 617 images"
