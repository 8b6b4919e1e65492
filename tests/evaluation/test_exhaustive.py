"""A file without federated lists is judged as COCO is: every unmatched detection is wrong."""

import contextlib
import io

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from bacl.data.batch import Detections
from bacl.evaluation.lvis_ap import LVISAveragePrecision


def coco_case(seed: int):
    random = np.random.default_rng(seed)
    images = [{"id": n, "file_name": f"{n}.jpg", "height": 90, "width": 90} for n in range(1, 7)]
    annotations, found = [], []
    for image in images:
        for _ in range(random.integers(0, 4)):
            x, y, width, height = random.integers(1, 40, 4).astype(float)
            label = int(random.integers(1, 4))
            annotations.append(
                {
                    "id": len(annotations) + 1, "image_id": image["id"], "category_id": label,
                    "bbox": [x, y, width, height], "area": width * height, "iscrowd": 0,
                }
            )  # fmt: skip
            shift = random.normal(0, 2, 2)
            found.append((image["id"], label, [x + shift[0], y + shift[1], width, height]))
        for _ in range(5):  # of any category, also ones that are not in the image
            box = random.integers(1, 40, 4).astype(float).tolist()
            found.append((image["id"], int(random.integers(1, 4)), box))
    categories = [{"id": n, "name": f"kind {n}"} for n in (1, 2, 3)]
    scores = random.permutation(len(found)) / len(found)
    results = [
        {"image_id": image, "category_id": label, "bbox": list(map(float, box)), "score": float(s)}
        for (image, label, box), s in zip(found, scores, strict=True)
    ]
    return {"images": images, "annotations": annotations, "categories": categories}, results


def detections_of(results, image_id: int) -> Detections:
    mine = sorted((r for r in results if r["image_id"] == image_id), key=lambda r: -r["score"])
    boxes = torch.tensor([r["bbox"] for r in mine], dtype=torch.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    labels = torch.tensor([r["category_id"] - 1 for r in mine], dtype=torch.int64)
    return Detections(boxes.float(), torch.tensor([r["score"] for r in mine]), labels)


@pytest.mark.parametrize("seed", range(5))
def test_equals_pycocotools(seed, open_table):
    annotations, results = coco_case(seed)
    file, table = open_table(annotations)
    metric = LVISAveragePrecision(table)
    ids = [image["id"] for image in annotations["images"]]
    metric.update([detections_of(results, image_id) for image_id in ids], ids)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(file))
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    assert table.exhaustive
    assert metric.compute()["AP"] == pytest.approx(precision[precision > -1].mean(), abs=1e-6)


def test_empty_lists_are_still_federated(open_table):
    annotations, _ = coco_case(0)
    for image in annotations["images"]:
        image |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    assert not open_table(annotations)[1].exhaustive
