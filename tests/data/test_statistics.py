"""Category statistics against hand-counted files and the published ones."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch

from bacl.data.statistics import CategoryStatistics


def test_counts_of_a_tiny_file(tmp_path):
    pairs = [(1, 4), (1, 4), (2, 4), (2, 9)]  # image, category
    content = {
        "images": [{"id": n, "height": 9, "width": 9, "file_name": f"{n}.jpg"} for n in (1, 2, 3)],
        "annotations": [
            {"id": n, "image_id": i, "category_id": c, "bbox": [1, 1, 5, 5], "area": 25}
            for n, (i, c) in enumerate(pairs)
        ],
        "categories": [{"id": c, "name": f"n{c}"} for c in (9, 6, 4)],
    }
    path = tmp_path / "train.json"
    path.write_text(json.dumps(content))
    statistics = CategoryStatistics.load(path)
    assert statistics.names == ["n4", "n6", "n9"]
    assert statistics.image_counts.tolist() == [2, 0, 1]
    assert statistics.instance_counts.tolist() == [3, 0, 1]
    assert statistics.image_counts.dtype == statistics.instance_counts.dtype == torch.int64
    assert (statistics.num_images, statistics.num_annotated) == (3, 2)
    assert statistics.num_categories == 3
    assert statistics.frequency.tolist() == ["r", "r", "r"]


def test_mean_shapes_of_boxes(tmp_path):
    boxes = [(1, [0, 0, 8, 2]), (1, [0, 0, 4, 4]), (2, [1, 1, 2, 8]), (2, [5, 5, 3, 3])]
    content = {
        "images": [{"id": 1, "height": 10, "width": 20, "file_name": "1.jpg"}],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": c, "bbox": box, "area": 9, "iscrowd": n // 3}
            for n, (c, box) in enumerate(boxes)
        ],
        "categories": [{"id": c, "name": f"n{c}"} for c in (1, 2, 3)],
    }
    path = tmp_path / "train.json"
    path.write_text(json.dumps(content))
    log = math.log
    first, second = (
        [log(4) / 2, log(16 / 200)],
        [log(1 / 4), log(16 / 200)],
    )  # the crowd is left out
    unknown = [(a + b) / 2 for a, b in zip(first, second, strict=True)]
    found = CategoryStatistics.load(path).box_shapes
    assert found.tolist() == pytest.approx(np.array([first, second, unknown]))


@pytest.mark.parametrize(
    ("name", "groups", "instances"),
    [("train", (34, 41, 5), 4491), ("train_voc20", (5, 10, 5), 2912)],
)
def test_photographs(shared, tmp_path, name, groups, instances):
    path = shared / f"data/cocovoc_lt/annotations/{name}.json"
    statistics = CategoryStatistics.load(path, cache=tmp_path)
    members = {group: torch.from_numpy(statistics.frequency == group) for group in "rcf"}
    assert tuple(int(members[group].sum()) for group in "rcf") == groups
    assert statistics.instance_counts.sum() == instances
    assert statistics.num_images == 1042
    assert (statistics.image_counts[members["r"]] <= 10).all()
    assert (statistics.image_counts[members["f"]] > 100).all()
    person = statistics.names.index("person")
    assert statistics.image_counts[person] == 421
    assert statistics.instance_counts[person] == 1224


def test_statistics_come_back_from_plain_values_and_those_of_an_earlier_version_too():
    known = CategoryStatistics.unknown(["a", "b"])
    dimensions = torch.tensor([1.5, 1.25], dtype=torch.float64)
    known = dataclasses.replace(known, fractal_dimensions=dimensions)
    again = CategoryStatistics.of_plain(["a", "b"], json.loads(json.dumps(known.plain())))
    assert again.plain() == known.plain()
    assert torch.equal(again.fractal_dimensions, dimensions)
    earlier = {k: v for k, v in known.plain().items() if k != "fractal_dimensions"}
    found = CategoryStatistics.of_plain(["a", "b"], earlier)
    assert found.fractal_dimensions is None
    assert found.plain() == earlier


def test_a_files_statistics_have_its_fractal_dimensions(shared, tmp_path):
    path = shared / "data/cocovoc_lt/annotations/train.json"
    statistics = CategoryStatistics.load(path, cache=tmp_path)
    person = statistics.names.index("person")
    assert statistics.fractal_dimensions.shape == (80,)
    assert 1.5 < statistics.fractal_dimensions[person] < 2
    few = statistics.instance_counts < 4
    assert few.any()
    assert (statistics.fractal_dimensions[few] == 1).all()
