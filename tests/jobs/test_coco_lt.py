"""Rows of Tab. XV on the tiny run: other losses trained in one stage, AP by training instances."""

import csv
import json

import numpy as np
import pytest
import torch

from bacl.checkpoints.handover import load_stage
from bacl.data.statistics import CategoryStatistics
from bacl.jobs import fit


@pytest.mark.parametrize(("head", "statistic"), [("eqlv2", "negative"), ("seesaw", "counts")])
def test_a_run_reports_the_groups_of_coco_lt(
    compose_config, tiny_overrides, tmp_path, head, statistic
):
    shared = [text for text in tiny_overrides if not text.startswith(("stages.", "+experiment"))]
    config = compose_config(
        "+experiment=bacl_demo_end_to_end",
        *shared,
        f"head={head}",
        "metric=coco_lt",
        "metric.boundaries=[3,6,12]",
        "detector.postprocess.max_detections=100",
        "stages.end_to_end.augment.train={short_sides:[96],max_size:96}",
        "stages.end_to_end.schedule={epochs:1,milestones:[],warmup_steps:2}",
    )
    fit.run(config, tmp_path)
    content = json.loads((tmp_path / "end_to_end/results.json").read_text())
    (measures,) = (each for each in content.values() if isinstance(each, dict))
    assert {"AP", "AP1", "AP2", "AP3", "AP4", "AR@100"} <= set(measures)
    assert "APr" not in measures
    counts = CategoryStatistics.load(config.data.train.annotations).instance_counts
    present = [bool(((counts >= low) & (counts < high)).any()) for low, high in ((0, 3), (12, 99))]
    assert present == [True, True]  # or the groups would be null
    assert None not in (measures["AP1"], measures["AP4"])
    text = (tmp_path / "end_to_end/results.md").read_text()
    assert "| all | 1 (under 3) | 2 (3 to 5) | 3 (6 to 11) | 4 (12 and more) |" in text
    assert "- 1 (under 3): " in text
    assert "rare" not in text
    rows = list(csv.DictReader((tmp_path / "end_to_end/per_category.csv").open(newline="")))
    bins = [np.searchsorted([3, 6, 12], int(row["train_instances"]), "right") + 1 for row in rows]
    assert [row["group"] for row in rows] == [str(number) for number in bins]
    assert "weight_norm_1" in (tmp_path / "end_to_end/metrics.csv").read_text()
    (trained,) = load_stage(tmp_path / "end_to_end/final.ckpt")["heads"].values()
    assert torch.count_nonzero(trained[f"first.criterion.{statistic}"]) > 0
