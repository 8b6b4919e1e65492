"""Steps in which no picture has an object: every loss is finite, and the weights stay so."""

import pytest
import torch
from lightning.pytorch import Callback

from bacl.data.mask_edges import MaskEdges


class Emptied(Callback):
    """Takes the objects out of every batch, and keeps the losses."""

    def __init__(self):
        self.losses = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        for target in batch.targets:
            target.boxes, target.labels = target.boxes[:0], target.labels[:0]
            if target.masks is not None:
                target.masks = MaskEdges.none(target.masks.size)

    def on_before_backward(self, trainer, pl_module, loss):
        self.losses += [float(value) for value in pl_module.step_losses.values()]


@pytest.mark.parametrize("stage", ["representation", "classifier"])
@pytest.mark.parametrize("detector", ["mask_small", "cascade_small"])
def test_a_stage_learns_from_pictures_without_objects(bench, stage, detector):
    watch = Emptied()
    masks = ["detector.mask.head={layers:1,channels:8}"] if detector == "mask_small" else []
    options = [f"detector={detector}", *masks, "trainer.limit_train_batches=2"]
    trained = bench(stage, *options).fit(watch)
    assert len(watch.losses) >= 6
    assert torch.tensor(watch.losses).isfinite().all()
    assert all(value.isfinite().all() for value in trained.parameters())
