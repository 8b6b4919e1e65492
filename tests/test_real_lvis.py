"""Nine photographs of LVIS v0.5 with all 1,230 categories, through the paper's configuration."""

import json
import shutil

import pytest
import torch

from bacl.assembly.data import build_data, open_data
from bacl.checkpoints.handover import load_stage
from bacl.jobs import fit

C = 1230


@pytest.fixture
def lvis(compose_config, shared, tmp_path):
    """The experiment bacl_lvis05 on the photographs, one step per stage, from random weights."""
    source = shared / "data/lvis_val_100"
    # A copy: tables are built beside the annotations.
    annotations = shutil.copy(source / "lvis_val_9_with_images.json", tmp_path / "nine.json")
    paths = [
        f"data.{split}={{annotations:{annotations},images:{source / 'images'}}}"
        for split in ("train", "val")
    ]
    stages = ("representation", "classifier")
    return compose_config(
        "+experiment=bacl_lvis05", *paths, "trainer=cpu", "detector.backbone.weights=null",
        "datamodule.batch_size=1", "datamodule.num_workers=0", "trainer.limit_train_batches=1",
        "trainer.limit_val_batches=1", "trainer.num_sanity_val_steps=0", "report.images=1",
        "trainer.log_every_n_steps=1",
        *(f"stages.{stage}.schedule={{epochs:1,milestones:[]}}" for stage in stages),
    )  # fmt: skip


def test_photographs_and_their_objects_arrive_at_the_papers_size(lvis):
    table = open_data(lvis)
    assert (table.num_categories, table.num_images, table.num_annotations) == (C, 9, 55)
    data = build_data(lvis, lvis.stages.classifier)
    objects = 0
    for batch in data.val_dataloader():
        (target,) = batch.targets
        assert min(target.size) == 800 or max(target.size) == 1333
        assert max(target.size) <= 1333
        assert all(side % 32 == 0 for side in batch.images.shape[2:])
        height, width = target.size
        assert bool((target.boxes >= 0).all())
        assert bool((target.boxes <= torch.tensor([width, height] * 2)).all())
        assert int(target.labels.max()) < C
        assert len(target.negative)
        objects += len(target.boxes)
    assert objects == 55


def test_copied_objects_come_with_their_labels_on_the_papers_canvas(lvis):
    data = build_data(lvis, lvis.stages.representation)
    batch = next(iter(data.train_dataloader()))
    assert batch.images.shape == (1, 3, 1280, 1280)
    assert len(batch.targets[0].boxes) == len(batch.targets[0].labels) > 0


@pytest.mark.slow
def test_a_step_of_each_stage_and_the_evaluation_of_a_photograph(lvis, tmp_path):
    folder = tmp_path / "run"
    average_precision = fit.run(lvis, folder)
    measures = json.loads((folder / "classifier/results.json").read_text())
    assert measures["bacl"]["AP"] == pytest.approx(average_precision)
    assert 0 <= average_precision <= 1
    assert len((folder / "classifier/per_category.csv").read_text().splitlines()) == C + 1
    assert (folder / "classifier/figures/detections.png").stat().st_size > 10_000
    final = load_stage(folder / "classifier/final.ckpt")
    head = final["heads"]["bacl"]
    assert head["first.predictor.weight"].shape == (C + 1, 1024)
    assert 0 < int(head["first.hallucination.seen"].sum()) <= 21
    assert all(
        v.isfinite().all() for v in [*final["detector"].values(), head["first.predictor.weight"]]
    )
