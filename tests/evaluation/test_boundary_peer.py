"""Boundary AP equals that of faster-coco-eval (1.8), which is no dependency of ours."""

import json

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from bacl.evaluation.lvis_ap import LVISAveragePrecision
from bacl.evaluation.results_json import load_results

SIDE, IMAGES = 120, 12


def ellipse(draw, centre=None) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    at = draw.uniform(30, 90, 2) if centre is None else centre
    axes = draw.integers(8, 28, 2).tolist()
    cv2.ellipse(mask, np.round(at).astype(int).tolist(), axes, draw.uniform(0, 180), 0, 360, 1, -1)
    return mask


def coded(mask: np.ndarray) -> dict:
    code = coco_mask.encode(np.asfortranarray(mask))
    return {"size": code["size"], "counts": code["counts"].decode()}


def record(image_id: int, category_id: int, mask: np.ndarray) -> dict:
    code = coded(mask)
    return {
        "image_id": image_id, "category_id": category_id, "segmentation": code,
        "bbox": coco_mask.toBbox(code).tolist(),
    }  # fmt: skip


def scenes(seed: int) -> tuple[dict, list]:
    draw = np.random.default_rng(seed)
    annotations, results = [], []
    for image_id in range(1, IMAGES + 1):
        for _ in range(4):
            centre, category_id = draw.uniform(30, 90, 2), int(draw.integers(1, 3))
            mask = ellipse(draw, centre)
            own = {"id": len(annotations) + 1, "area": float(mask.sum()), "iscrowd": 0}
            annotations.append(record(image_id, category_id, mask) | own)
            found = np.roll(mask, draw.integers(-1, 2, 2), (0, 1))
            results.append(record(image_id, category_id, found) | {"score": draw.random()})
    images = [
        {"id": each, "file_name": f"{each}.jpg", "height": SIDE, "width": SIDE}
        for each in range(1, IMAGES + 1)
    ]
    categories = [{"id": each, "name": f"kind {each}"} for each in (1, 2)]
    return {"images": images, "annotations": annotations, "categories": categories}, results


@pytest.mark.parametrize("seed", range(3))
def test_boundary_ap_equals_the_peers(open_table, tmp_path, seed):
    peer = pytest.importorskip("faster_coco_eval")
    annotations, results = scenes(seed)
    (tmp_path / "results.json").write_text(json.dumps(results))
    table = open_table(annotations)[1]
    metric = LVISAveragePrecision(table, masks=True, boundary=True)
    metric.update(load_results(tmp_path / "results.json", table, masks=True))
    own = float(metric.compute()["segm/AP_boundary"])
    truth = peer.COCO(annotations)
    judged = peer.COCOeval_faster(truth, truth.loadRes(results), "boundary", print_function=str)
    judged.run()
    assert own == pytest.approx(judged.stats[0], abs=1e-6)
    assert 0.05 < own < 0.95
