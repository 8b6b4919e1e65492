import csv
import json
import re
from itertools import groupby

import numpy as np
import pytest
import torch
from rich.console import Console

from bacl.evaluation.coco_ap import groups_by_count
from bacl.evaluation.lvis_ap import groups_by_frequency
from bacl.evaluation.right_label import RightLabels
from bacl.reporting.results import RunResults, describe_groups
from tests.evaluations import evaluation, statistics

RESULTS = {
    "baseline": {
        "AP": torch.tensor(0.2242), "AP50": 0.35, "AP75": 0.24, "APs": 0.1, "APr": -1.0,
        "APc": 0.2, "APf": 0.301, "AR@300": 0.4, "ARs@300": 0.9,
        "AP@3": 0.15, "AP@3_c": 0.1, "AP@3_f": 0.2, "AP_pool": 0.21, "AP_fixed": 0.23,
        "right_label": 0.5, "right_label_r": 0.0, "right_label_c": 0.5, "right_label_f": 0.75,
    },
    "bacl": {
        "AP": 0.278, "AP50": 0.35004, "AP75": 0.2399, "APs": 0.1, "APr": 0.1, "APc": 0.27,
        "APf": 0.29, "AR@300": 0.45, "ARs@300": 0.1,
        "AP@3": 0.25, "AP@3_r": 0.08, "AP@3_c": 0.26, "AP@3_f": 0.28,
        "AP_pool": 0.22, "AP_fixed": 0.24,
        "right_label": 0.6, "right_label_r": 0.2, "right_label_c": 0.55, "right_label_f": 0.75,
    },
}  # fmt: skip
COUNTS = statistics("abcd", "rcff", [3, 50, 400, 1000], [4, 90, 12000, 345])
LVIS = groups_by_frequency(["r", "c", "f", "f"])


def found(results=RESULTS, grouping=LVIS, part: str = "") -> RunResults:
    values = {head: evaluation(own, grouping, part=part) for head, own in results.items()}
    return RunResults(values, COUNTS)


def table(results, number):
    """The lines of the first table of a text in Markdown, or of the second."""
    lines = results.markdown().splitlines()
    tables = [list(own) for is_table, own in groupby(lines, lambda x: x[:1] == "|") if is_table]
    return tables[number]


def test_markdown_in_percent_with_differences():
    lines = found().markdown().splitlines()
    assert lines[:9] == [
        "| measure | head | all | rare | common | frequent |",
        "|---|---|---:|---:|---:|---:|",
        "| AP | baseline | 22.4 | – | 20.0 | 30.1 |",
        "| AP | bacl | 27.8 (+5.4) | 10.0 | 27.0 (+7.0) | 29.0 (-1.1) |",
        "| AP@3 | baseline | 15.0 | – | 10.0 | 20.0 |",
        "| AP@3 | bacl | 25.0 (+10.0) | 8.0 | 26.0 (+16.0) | 28.0 (+8.0) |",
        "| right label | baseline | 50.0 | 0.0 | 50.0 | 75.0 |",
        "| right label | bacl | 60.0 (+10.0) | 20.0 (+20.0) | 55.0 (+5.0) | 75.0 (+0.0) |",
        "",
    ]
    assert lines[9:12] == [
        "- rare: 1 category of 3 training images, 4 instances",
        "- common: 1 category of 50 training images, 90 instances",
        "- frequent: 2 categories of 400 to 1,000 training images, 12,345 instances",
    ]
    told = [line.split()[1].rstrip(":") for line in lines[12:17]]
    assert told == ["AP", "AP@3", "right", "AP_pool", "AP_fixed"]
    assert lines[17:] == [
        "",
        "| head | AP50 | AP75 | AR | AP_pool | AP_fixed |",
        "|---|---:|---:|---:|---:|---:|",
        "| baseline | 35.0 | 24.0 | 40.0 | 21.0 | 23.0 |",
        "| bacl | 35.0 (+0.0) | 24.0 (+0.0) | 45.0 (+5.0) | 22.0 (+1.0) | 24.0 (+1.0) |",
    ]


def printed(results, width=110):
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(results.console_table())
    return capture.get()


def test_console_table_has_the_same_numbers():
    text = printed(found())
    for part in ("baseline", "AP@3", "rare", "22.4", "–", "+5.4", "-1.1", "12,345 instances"):
        assert part in text


def test_differences_of_the_right_label_have_standard_errors():
    # 200 images of a rare object and four others; the second head is right of 40 rare ones more,
    # and of one frequent one.
    images, labels = np.repeat(np.arange(200), 5), np.tile([0, 1, 1, 2, 3], 200)
    right = (np.arange(1000) % 10 < 5) & (labels > 0)
    other = right | ((labels == 0) & (images < 40)) | (np.arange(1000) == 8)
    heads = {}
    for name, own in (("baseline", right), ("bacl", other)):
        labelled = RightLabels(images, labels, own, np.arange(200))
        values = {"right_label": labelled.share()}
        values |= {f"right_label_{key}": v for key, v in labelled.of_groups(LVIS).items()}
        heads[name] = evaluation(RESULTS[name] | values, LVIS, right_labels=labelled)
    results = RunResults(heads, COUNTS)
    before, after = (line for line in table(results, 0) if "right label" in line)
    assert before == "| right label | baseline | 40.0 | 0.0 | 50.0 | 50.0 |"
    cells = [cell.strip() for cell in after.split("|")[3:7]]
    # The deviation over images is sqrt(0.2 * 0.8); that of a single object 1 / 400 of the share.
    rare, error = re.fullmatch(r"20.0 \((\+20.0) ± (2\.[6-9]|3\.0)\)", cells[1]).groups()
    assert (rare, float(error)) == ("+20.0", pytest.approx(100 * 0.4 / 200**0.5, abs=0.2))
    assert cells[0].startswith("44.1 (+4.1 ± 0.")
    assert cells[2] == "50.0 (≈ +0.0 ± 0.0)"
    assert re.fullmatch(r"50\.2 \(≈ \+0\.[23] ± 0\.[23]\)", cells[3])
    assert max(len(line) for line in printed(results).splitlines()) <= 110
    assert "standard error" in results.markdown()


def test_single_head_has_no_differences():
    lines = [*table(found({"bce": RESULTS["bacl"]}), 0), *table(found({"bce": RESULTS["bacl"]}), 1)]
    assert "(" not in "".join(lines)
    assert "standard error" not in found({"bce": RESULTS["bacl"]}).markdown()


def test_metric_that_was_not_computed_is_a_dash():
    results = found({"bce": {"AP": 0.5}})
    assert table(results, 0)[2:4] == [
        "| AP | bce | 50.0 | – | – | – |",
        "| AP@3 | bce | – | – | – | – |",
    ]
    assert table(results, 1)[2] == "| bce | – | – | – | – | – |"


def test_masks_have_rows_of_their_own_and_are_compared_with_masks():
    results = {
        "baseline": {"AP": 0.2, "segm/AP": 0.194, "segm/APr": 0.013, "segm/AR@300": 0.3},
        "bacl": {"AP": 0.3, "segm/AP": 0.254, "segm/APr": 0.177, "segm/AR@300": 0.2},
        "boxes": {"AP": 0.1},
    }
    lines = table(found(results), 0)
    assert lines[2:8] == [
        "| AP | baseline | 20.0 | – | – | – |",
        "| AP | baseline masks | 19.4 | 1.3 | – | – |",
        "| AP | bacl | 30.0 (+10.0) | – | – | – |",
        "| AP | bacl masks | 25.4 (+6.0) | 17.7 (+16.4) | – | – |",
        "| AP | boxes | 10.0 (-10.0) | – | – | – |",
        "| AP@3 | baseline | – | – | – | – |",
    ]
    assert not any("right label" in line and "masks" in line for line in lines)
    assert "| bacl masks | – | – | 20.0 (-10.0) | – | – |" in table(found(results), 1)


def test_groups_by_instances_stand_in_place_of_those_by_images():
    judged = {"AP": 0.268, "AP1": 0.144, "AP2": 0.208, "AP3": -1.0, "AP4": 0.319, "AR@300": 0.4}
    grouping = groups_by_count(COUNTS.instance_counts.numpy(), [20, 400, 8000])
    lines = found({"bacl": judged}, grouping).markdown().splitlines()
    names = ["1 (under 20)", "2 (20 to 399)", "3 (400 to 7,999)", "4 (8,000 and more)"]
    assert lines[0] == f"| measure | head | all | {' | '.join(names)} |"
    assert lines[2] == "| AP | bacl | 26.8 | 14.4 | 20.8 | – | 31.9 |"
    assert lines[6:9] == [
        "- 1 (under 20): 1 category of 4 training instances, 4 instances",
        "- 2 (20 to 399): 2 categories of 90 to 345 training instances, 435 instances",
        "- 4 (8,000 and more): 1 category of 12,000 training instances, 12,000 instances",
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
    assert "40 of 617 images" in printed(results)
    write(tmp_path, part="40 of 617 images")
    assert json.loads((tmp_path / "results.json").read_text())["evaluated"] == "40 of 617 images"
