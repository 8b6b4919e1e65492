import json
import logging

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from bacl.data.annotations.table import AnnotationTable
from tests.losses.conftest import two_processes

__all__ = ["two_processes"]

IMAGE_SIDE = 2000


@pytest.fixture
def official(monkeypatch):
    """Runs the official lvis package: (annotation file, results) -> LVISEval after accumulate.

    With `kind="segm"` records lose their boxes, or areas would be the boxes'.
    """
    monkeypatch.setattr(np, "float", float, raising=False)  # lvis 0.5.3 needs the removed alias
    from lvis import LVIS, LVISEval, LVISResults

    logging.getLogger("lvis").setLevel(logging.ERROR)

    def run(annotations, results, max_detections=300, kind="bbox"):
        truth = LVIS(str(annotations))
        left_out = {"bbox": "segmentation", "segm": "bbox"}[kind]
        records = [{k: v for k, v in record.items() if k != left_out} for record in results]
        evaluation = LVISEval(truth, LVISResults(truth, records, max_detections), kind)
        evaluation.params.max_dets = max_detections
        evaluation.run()
        return evaluation

    return run


@pytest.fixture
def open_table(tmp_path):
    """Writes an annotation dictionary to a file and opens it: dict -> (file, AnnotationTable)."""

    def write(annotations, name="annotations.json"):
        file = tmp_path / name
        file.write_text(json.dumps(annotations))
        return file, AnnotationTable.open(file, cache=tmp_path / "cache" / name)

    return write


@pytest.fixture(scope="session")
def random_case():
    """A seeded random evaluation: seed -> (annotations, results)."""
    return _random_case


@pytest.fixture(scope="session")
def random_mask_case():
    """The same with segmentations: polygons of the objects, run lengths of the results."""

    def build(seed):
        annotations, results = _random_case(seed)
        draw = np.random.default_rng(seed)
        for record in annotations["annotations"]:
            record["segmentation"] = _polygons(draw, record["bbox"])
        for record in results:
            polygons = _polygons(draw, record["bbox"])
            code = coco_mask.merge(coco_mask.frPyObjects(polygons, IMAGE_SIDE, IMAGE_SIDE))
            record["segmentation"] = {**code, "counts": code["counts"].decode()}
        return annotations, results

    return build


def _polygons(draw, box):
    """A rectangle, a triangle, or two parts of a rectangle; whole pixels only by chance."""
    x, y, width, height = box
    corners = [x, y, x + width, y, x + width, y + height, x, y + height]
    kind = draw.integers(3)
    if kind == 1:
        return [corners[:6]]
    if kind == 2:
        return [[x, y, x + width / 3, y, x + width / 3, y + height, x, y + height], corners[2:]]
    return [corners]


def _random_case(seed):
    """(annotations, results) as dictionaries of the LVIS format, small, with all that can go wrong.

    Scores come from few values, so that there are ties; boxes from a coarse grid, so that IoUs tie
    and hit thresholds exactly; some images have no object, some no detection, some far too many;
    categories may have no object at all; lists overlap and name categories that are present.
    """
    draw = np.random.default_rng(seed)
    category_ids = np.sort(draw.choice(np.arange(1, 60), draw.integers(1, 9), replace=False))
    image_ids = draw.choice(np.arange(1, 1000), draw.integers(1, 9), replace=False)
    scale = float(draw.choice([4, 20, 60, 0.37]))
    levels = int(draw.choice([2, 10, 1000]))
    annotations, results = [], []
    for image_id in image_ids:
        for _ in range(draw.integers(0, 9) if draw.random() < 0.8 else 0):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": int(image_id),
                    "category_id": int(draw.choice(category_ids)),
                    **_shape(draw, scale),
                }
            )
        for _ in range(draw.choice([0, 5, 60])):
            results.append(
                {
                    "image_id": int(image_id),
                    "category_id": int(draw.choice(category_ids)),
                    "bbox": _detected(draw, scale, annotations),
                    "score": float(draw.integers(0, levels + 1) / levels),
                }
            )
    draw.shuffle(annotations)
    draw.shuffle(results)
    return _file(draw, category_ids, image_ids, annotations), results


def _file(draw, category_ids, image_ids, annotations):
    def some():
        return [int(category) for category in category_ids if draw.random() < 0.25]

    return {
        "info": {},
        "categories": [
            {"id": int(i), "name": f"category {i}", "frequency": str(draw.choice([*"rcf"]))}
            for i in draw.permutation(category_ids)
        ],
        "images": [
            {
                "id": int(i),
                "file_name": f"{i}.jpg",
                "height": IMAGE_SIDE,
                "width": IMAGE_SIDE,
                "neg_category_ids": some(),
                "not_exhaustive_category_ids": some(),
            }
            for i in image_ids
        ],
        "annotations": annotations,
    }


def _shape(draw, scale):
    x, y = draw.integers(0, 5, 2) * scale
    width, height = draw.integers(1, 7, 2) * scale
    area = width * height * draw.choice([1.0, 1.0, 0.6])
    if draw.random() < 0.08:
        area = 0.0
    if draw.random() < 0.1:
        area = float(draw.choice([32.0**2, 96.0**2]))
    shape = {"bbox": [float(x), float(y), float(width), float(height)], "area": float(area)}
    return shape | ({"ignore": 1} if draw.random() < 0.1 else {})


def _detected(draw, scale, annotations):
    if not annotations or draw.random() < 0.3:
        box = _shape(draw, scale)["bbox"]
    else:
        box = list(annotations[draw.integers(len(annotations))]["bbox"])
        box[draw.integers(4)] += float(draw.choice([0.0, 0.25, 1.0, 0.031])) * scale
    if draw.random() < 0.05:
        box[2] = 0.0
    return box
