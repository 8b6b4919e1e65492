"""COCO's rules against pycocotools: whole curves, crowd regions, groups by training instances."""

import contextlib
import copy
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from bacl.data.annotations.table import AnnotationTable
from bacl.data.batch import Detections
from bacl.evaluation.coco_ap import COCOAveragePrecision, groups_by_count
from bacl.evaluation.results_json import load_results

BOUNDARIES = (20, 400, 8000)


def official(annotations, results, max_detections):
    """pycocotools' evaluation of a dictionary and results, after accumulate."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = copy.deepcopy(annotations)
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(copy.deepcopy(results)), "bbox")
        evaluation.params.maxDets = [max_detections]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval


def metric_of(table, counts=None, **options):
    counts = np.full(table.num_categories, 500) if counts is None else np.array(counts)
    return COCOAveragePrecision(
        table, SimpleNamespace(instance_counts=counts), BOUNDARIES, **options
    )


def assert_official(metric, reference):
    """Curves, AP and the AP of every group are pycocotools'."""
    found = {name: float(value) for name, value in metric.compute().items()}
    precision, recall = reference["precision"][..., 0], reference["recall"][..., 0]
    curves = metric.judgement.curves
    np.testing.assert_allclose(curves.precision, precision, atol=1e-12)
    np.testing.assert_allclose(curves.recall, recall, atol=1e-12)
    own = {group.key: group.members for group in metric.grouping.groups}
    groups = {"": np.ones(precision.shape[2], bool), **own}
    for name, members in groups.items():
        values = precision[:, :, members, 0]
        values = values[values > -1]
        expected = values.mean() if values.size else -1
        assert found[f"AP{name}"] == pytest.approx(expected, abs=1e-6)
    return found


def coco_case(random_case, seed):
    """A random case with crowd regions; what `ignore` flags are no matter of COCO."""
    annotations, results = random_case(seed)
    for record in annotations["annotations"]:
        record["iscrowd"] = record.pop("ignore", 0)
    known = {category["id"] for category in annotations["categories"]}
    return annotations, [result for result in results if result["category_id"] in known]


@pytest.mark.parametrize("seed", range(40))
def test_curves_of_random_cases(open_table, random_case, tmp_path, seed):
    annotations, results = coco_case(random_case, seed)
    if not results:
        pytest.skip("pycocotools reads no empty list")
    _, table = open_table(annotations)
    (tmp_path / "results.json").write_text(json.dumps(results))
    counts = np.random.default_rng(seed).choice([3, 20, 399, 400, 9000], table.num_categories)
    for max_detections in (100, 3):
        metric = metric_of(table, counts, max_detections=max_detections)
        metric.update(load_results(tmp_path / "results.json", table))
        assert_official(metric, official(annotations, results, max_detections))


def test_random_cases_cover_what_they_should(random_case):
    crowds = crowded = without_area = 0
    for seed in range(40):
        annotations, results = coco_case(random_case, seed)
        crowds += sum(record["iscrowd"] for record in annotations["annotations"])
        without_area += sum(record["area"] == 0 for record in annotations["annotations"])
        pairs = [(result["image_id"], result["category_id"]) for result in results]
        crowded += any(pairs.count(pair) > 3 for pair in set(pairs))
    assert min(crowds, crowded, without_area) > 10


@pytest.mark.parametrize("name", ["val", "val_voc20"])
def test_photographs(shared, tmp_path, name):
    """Perturbed ground truth and noise on the validation photographs, by COCO's rules."""
    folder = shared / "data/cocovoc_lt/annotations"
    annotations = json.loads((folder / f"{name}.json").read_text())
    draw = np.random.default_rng(0)
    results = []
    for record in annotations["annotations"]:
        record["iscrowd"] = int(draw.random() < 0.05)
        for _ in range(2):
            box = np.array(record["bbox"]) * draw.normal(1, 0.04, 4)
            kind = record["category_id"] if draw.random() < 0.8 else draw.integers(1, 21)
            result = {"image_id": record["image_id"], "category_id": int(kind)}
            results.append({**result, "bbox": box.tolist(), "score": draw.random()})
    file = tmp_path / "annotations.json"
    file.write_text(json.dumps(annotations))
    (tmp_path / "results.json").write_text(json.dumps(results))
    table = AnnotationTable.open(file, cache=tmp_path / "cache")
    train = AnnotationTable.open(
        folder / f"{name.replace('val', 'train')}.json", cache=tmp_path / "cache"
    )
    boundaries = np.quantile(train.instance_counts, [0.25, 0.5, 0.75]).tolist()
    metric = COCOAveragePrecision(table, train, boundaries)
    metric.update(load_results(tmp_path / "results.json", table))
    found = assert_official(metric, official(annotations, results, 100))
    assert all(0.05 < found[f"AP{group}"] < 1 for group in "1234")


def test_groups_have_their_lower_boundary_and_not_their_upper():
    counts = np.array([0, 19, 20, 399, 400, 7999, 8000, 262465])
    groups = groups_by_count(counts, BOUNDARIES)
    members = [np.flatnonzero(group.members).tolist() for group in groups.groups]
    assert members == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert [(group.key, group.name) for group in groups.groups] == [
        ("1", "1 (under 20)"),
        ("2", "2 (20 to 399)"),
        ("3", "3 (400 to 7,999)"),
        ("4", "4 (8,000 and more)"),
    ]
    assert groups.by_instances
    assert [group.name for group in groups_by_count(counts, []).groups] == ["1 (0 and more)"]


def one_image(*annotations):
    return {
        "images": [{"id": 1, "file_name": "1.jpg", "height": 99, "width": 99}],
        "annotations": [
            {"id": number, "image_id": 1, "area": 1600.0, **annotation}
            for number, annotation in enumerate(annotations, 1)
        ],
        "categories": [{"id": n, "name": f"kind {n}"} for n in (1, 2)],
    }


def test_crowd_excuses_every_detection_within_it(open_table):
    content = one_image(
        {"category_id": 1, "bbox": [50, 50, 40, 40]},
        {"category_id": 1, "bbox": [0, 0, 40, 40], "iscrowd": 1},
    )
    _, table = open_table(content)
    metric = metric_of(table)
    boxes = [[0, 0, 9, 9], [9, 9, 30, 30], [5, 5, 20, 20], [50, 50, 90, 90]]
    scores = torch.tensor([0.9, 0.8, 0.7, 0.6])
    metric.update([Detections(torch.tensor(boxes).float(), scores, torch.zeros(4).long())], [1])
    assert float(metric.compute()["AP"]) == pytest.approx(1)


def test_limit_is_per_category(open_table):
    box = [0, 0, 40, 40]
    content = one_image({"category_id": 1, "bbox": box}, {"category_id": 2, "bbox": box})
    _, table = open_table(content)
    metric = metric_of(table, [3, 30], max_detections=1)
    scores = torch.tensor([0.9, 0.8])
    metric.update([Detections(torch.tensor([box, box]).float(), scores, torch.arange(2))], [1])
    summary = metric.compute()
    assert [float(summary[f"AP{group}"]) for group in "1234"] == pytest.approx([1, 1, -1, -1])
    assert "AR@1" in summary


def test_other_categories_are_refused(open_table):
    _, table = open_table(one_image())
    with pytest.raises(ValueError, match=r"count 3 categories, .* has 2"):
        metric_of(table, [1, 2, 3])
