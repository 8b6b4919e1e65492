"""Both stages with a mask branch: it trains in both, and its masks follow the detections."""

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.loggers.logger import DummyLogger

from bacl.loggers.measurements import named

MASKS = ("detector=mask_small", "detector.mask.head={layers:1,channels:8}")
FROZEN = ("detector.backbone.", "detector.fpn.", "detector.box_head.")
BRANCH = "detector.mask."


class Watch(Callback):
    """What got a gradient, and the losses of every step."""

    def __init__(self):
        self.names, self.losses = set(), []

    def on_before_backward(self, trainer, pl_module, loss):
        self.losses.append(named(pl_module.step_losses))

    def on_after_backward(self, trainer, pl_module):
        named = pl_module.named_parameters()
        self.names |= {n for n, p in named if p.grad is not None and bool(p.grad.any())}


def test_gradients_of_the_representation_stage_reach_every_parameter(bench):
    watch = Watch()
    stage = bench("representation", *MASKS, "trainer.limit_train_batches=1").fit(watch)
    assert {name for name, _ in stage.named_parameters()} == watch.names
    assert watch.losses[0]["train/mask"] > 0


def test_the_classifier_stage_trains_the_whole_branch_on_a_frozen_pyramid(bench, snapshot):
    table = bench("classifier", *MASKS)
    before, watch = snapshot(table.stage), Watch()
    stage = table.fit(watch)
    trained = {name for name, parameter in stage.named_parameters() if parameter.requires_grad}
    assert trained == watch.names
    assert {name for name in before if name.startswith(BRANCH)} <= trained
    after = stage.state_dict()
    assert all(torch.equal(after[n], before[n]) for n in before if n.startswith(FROZEN))
    assert all(not torch.equal(after[n], before[n]) for n in before if n.startswith(BRANCH))


def test_a_head_is_the_same_whether_or_not_the_detector_has_masks(bench):
    """The branch draws nothing and gives the shared features no gradient in the second stage."""
    start = {}
    heads = []
    for overrides in ((), MASKS):
        table = bench("classifier", *overrides)
        if start:
            table.stage.load_state_dict(start, strict=False)
        start = {
            k: v.clone() if hasattr(v, "clone") else v for k, v in table.stage.state_dict().items()
        }
        heads.append(table.fit().heads["baseline"].state_dict())
    for name, value in heads[0].items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, heads[1][name]), name


@pytest.mark.parametrize("name", ["representation", "classifier"])
def test_every_head_gets_masks_of_its_own_detections(bench, name):
    table = bench(name, *MASKS)
    stage = table.stage.eval()
    batch = next(iter(table.data.val_dataloader()))
    for found in stage.detect(batch).values():
        for each, target in zip(found, batch.targets, strict=True):
            assert len(each.masks) == len(each.boxes) > 0
            assert each.masks[0]["size"] == list(target.original_size)


def test_the_metric_has_both_kinds(bench):
    table = bench("representation", *MASKS)
    metric = table.config.metric
    assert metric.masks
    trainer = table.trainer()
    trainer.loggers = [DummyLogger()]
    trainer.validate(table.stage, datamodule=table.data, verbose=False)
    values = table.stage.metrics["representation"].compute()
    assert {"AP", "segm/AP", "segm/APr"} <= set(values)
    assert "val/representation/segm/AP" in trainer.callback_metrics


def test_nothing_is_logged_where_nobody_reads_it(bench):
    """Of the many variants of a choice that would take longer than to judge them."""
    table = bench("representation")
    trainer = table.trainer()
    trainer.validate(table.stage, datamodule=table.data, verbose=False)
    assert table.stage.metrics["representation"].compute()["AP"] >= 0
    assert not trainer.callback_metrics
