"""The whole job with a mask branch: what it leaves is what the official package reads."""

import gzip
import json

import numpy as np
from pycocotools import mask as coco_mask

from bacl.checkpoints.handover import load_stage
from bacl.jobs import fit

MASKS = (
    "detector=mask_small",
    "detector.mask.head={layers:1,channels:8}",
    "metric.boundary=true",
    "report.save_detections=true",
    "report.score_threshold=0.01",
)


def test_a_run_with_masks(tiny, tmp_path):
    config = tiny(*MASKS)
    fit.run(config, tmp_path)
    folder = tmp_path / "classifier"
    measures = json.loads((folder / "results.json").read_text())
    for head in ("baseline", "bacl"):
        assert {"AP", "segm/AP", "segm/APr", "segm/AP75", "segm/AR@300", "segm/AP_boundary"} <= set(
            measures[head]
        )
    assert "| bacl masks |" in (folder / "results.md").read_text()
    assert "bacl.segm/AP" in (folder / "per_category.csv").read_text().splitlines()[0]
    assert (folder / "figures/detections.png").exists()
    with gzip.open(folder / "detections_bacl.json.gz", "rt") as file:
        records = json.load(file)
    assert records
    masks = [record["segmentation"] for record in records]
    assert all(mask["size"] == [96, 96] for mask in masks)
    boxes = np.array([record["bbox"] for record in records])
    shown = coco_mask.toBbox(masks)
    drawn = shown[:, 2] > 0
    assert drawn.any()
    inside = shown[drawn, :2] >= boxes[drawn, :2] - 2
    assert inside.all()
    first, second = (
        load_stage(tmp_path / stage / "final.ckpt")["detector"]
        for stage in ("representation", "classifier")
    )
    changed = {name.split(".")[0] for name in first if not first[name].equal(second[name])}
    assert changed == {"rpn", "box_regression", "mask"}
