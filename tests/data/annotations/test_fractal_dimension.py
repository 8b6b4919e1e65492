"""Fractal dimensions against a published example, a plain loop over objects, and lines."""

import json

import numpy as np
import pytest

from bacl.data.annotations.category_view import CategoryView
from bacl.data.annotations.fractal_dimension import fractal_dimensions
from bacl.data.annotations.table import AnnotationTable

X = (0.1, 0.6, 0.3, 0.9, 0.55, 0.2, 0.8, 0.45, 0.05)
Y = (0.1, 0.2, 0.8, 0.9, 0.55, 0.4, 0.3, 0.95, 0.7)
NINE = np.stack([X, Y], axis=1)


def by_loop(centres, labels, num_categories):
    """A set of cells for each category and grid, and NumPy's line through them."""
    found = []
    for category in range(num_categories):
        points = [tuple(point) for point in centres[labels == category].tolist()]
        grids = [grid for grid in range(1, 65) if grid**2 <= len(points)]
        if len(points) < 4:
            found.append(1.0)
            continue
        cells = [
            len({(min(int(x * g), g - 1), min(int(y * g), g - 1)) for x, y in points})
            for g in grids
        ]
        found.append(max(1.0, np.polyfit(np.log(grids), np.log(cells), 1)[0]))
    return found


def test_the_worked_example(shared):
    vectors = json.loads((shared / "methods_vectors.json").read_text())["FRACAL_phi"]
    (found,) = fractal_dimensions(NINE, np.zeros(9, dtype=int), 1)
    assert found == pytest.approx(vectors["phi"], abs=1e-6)


def test_dimensions_are_those_of_a_plain_loop():
    generator = np.random.default_rng(0)
    labels = generator.permutation(np.repeat(np.arange(6), [1000, 300, 9, 4, 3, 0]))
    centres = generator.random((len(labels), 2)) ** generator.uniform(0.5, 3, len(labels))[:, None]
    found = fractal_dimensions(centres, labels, 6)
    np.testing.assert_allclose(found, by_loop(centres, labels, 6), rtol=1e-9)
    assert found[0] > found[1] > 1
    assert found[4:].tolist() == [1, 1]


def test_what_lies_everywhere_has_two_dimensions_and_a_line_or_a_point_one():
    side = (np.arange(128) + 0.5) / 128
    square = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    line = np.stack([np.linspace(0, 1, 5000), np.full(5000, 0.5)], axis=1)
    point = np.full((5000, 2), 0.3)
    everything = np.concatenate([square, line, point])
    found = fractal_dimensions(everything, np.repeat([0, 1, 2], [len(square), 5000, 5000]), 3)
    np.testing.assert_allclose(found, [2, 1, 1], rtol=1e-12)


def test_no_objects_and_centres_beyond_the_picture():
    assert fractal_dimensions(np.zeros((0, 2)), np.zeros(0, dtype=int), 2).tolist() == [1, 1]
    beyond = np.concatenate([NINE, NINE + np.array([1.0, 0.0])])
    inside = np.concatenate([NINE, np.stack([np.full(9, 0.999), NINE[:, 1]], axis=1)])
    labels = np.zeros(18, dtype=int)
    np.testing.assert_array_equal(
        fractal_dimensions(beyond, labels, 1), fractal_dimensions(inside, labels, 1)
    )


def test_a_tables_are_of_its_box_centres_without_ignored_objects(tmp_path):
    """Category 3 has the nine centres, in pictures of two sizes; a crowd beside them is ignored."""
    sizes = [(40, 200), (100, 80)]  # height, width
    images = [
        {"id": n, "height": height, "width": width, "file_name": f"{n}.jpg"}
        for n, (height, width) in enumerate(sizes)
    ]
    objects = []
    for n, (x, y) in enumerate([*NINE.tolist(), (0.99, 0.01)]):
        height, width = sizes[n % 2]
        box = [x * width - 2, y * height - 3, 4, 6]
        crowd = int(n == 9)
        objects.append(
            {"id": n + 1, "image_id": n % 2, "category_id": 3, "bbox": box, "iscrowd": crowd}
        )
    path = tmp_path / "train.json"
    categories = [{"id": 3, "name": "three"}, {"id": 7, "name": "seven"}]
    content = {"images": images, "annotations": objects, "categories": categories}
    path.write_text(json.dumps(content), encoding="utf-8")
    table = AnnotationTable.open(path)
    np.testing.assert_allclose(table.fractal_dimensions, [1.904334, 1], atol=1e-6)
    ids = np.array([1, 3, 7])
    wider = table.with_categories(CategoryView(ids, ["one", "three", "seven"], np.full(3, "r")))
    np.testing.assert_array_equal(wider.fractal_dimensions[1:], table.fractal_dimensions)
    assert wider.fractal_dimensions[0] == 1
    assert wider.image_counts.tolist() == [0, 2, 0]
