"""How often a training step of the classifier stage would wait for a GPU.

On a CPU these cost nothing, but they can be counted (`benchmarks/counting.py`). RoIAlign is
torchvision's here, as on a GPU.
"""

import pytest
import torch
import torchvision
from counting import Operators
from lightning.pytorch import Callback

from bacl.data.batch import Batch
from bacl.detectors import class_suppression, ranking, roi_pooling

SUPPRESSION = 5
"""Non-maximum suppressions of an image, one on each pyramid level; nothing else waits per image."""
DETECTOR = 3
"""Candidates among the anchors, and whether proposals are finite (1); candidates among RoIs, and
pyramid levels of the drawn anchors (1); pyramid levels of the drawn RoIs, and of masks (1)."""
CASCADE = 2 * 2
"""Each later stage of a cascade: candidates among its RoIs, and whether they are finite (1);
pyramid levels of the drawn ones (1)."""
INFERENCE = 1 + 5
"""Levels of the proposals, and whether they are finite (1); for a head its candidates (1), those of
one class and image (1), which of them overlap (1), who survives (1), whether boxes are finite (1).
"""
EXTRA = {"cascade_small": CASCADE, "mask_small": 0}
"""Beside those of a Faster R-CNN."""
WAITING_FOR_NOTHING = (
    *("eql", "droploss", "gol", "gumbel", "ecm", "federated", "balms", "balms_meta", "iif"),
    *("acsl", "bags", "logit_adjustment", "class_balanced", "class_balanced_sigmoid", "focal"),
    *("efl", "ldam", "forest"),
)
"""Heads whose losses need no number from the device."""
JITTERED = 1
"""Classes that occur among the jittered boxes, once for all heads."""
BACL = 1
"""A BACL head: which drawn classes have been seen, until all have been."""


OF_FEATURES = {
    "c2am": 1,  # foreground rows, as for most of these
    "tde": 0,
    "loce": 4,  # what a ring has room for, drawn classes with features, foreground rows, objects
    "disalign": 0,
    "lws": 0,
    "ncm": 2,  # and classes that occur
    "fasa": 3,  # drawn classes, groups of foreground rows, classes that occur among them
    "rio": 2,  # features that are shown, and remembered
    "area": 1 + 1,  # own boxes, classes that occur
    "idg_focal": 1,  # classes that occur among the same boxes
    "simcal": 1,  # pyramid levels of pooled RoIs, once for all heads
    "pcb": 3 * 2,  # in each iteration foreground rows, classes that occur
}
"""Heads that look at more than logits, beside each other: features are summed once for all."""


class HostWaits(Callback):
    """Counts the waits of the second step, backward pass and optimiser included."""

    def __init__(self):
        self.operators = Operators()
        self.waits = self.operators.waits

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == 1:
            self.operators.__enter__()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if batch_idx == 1:
            self.operators.__exit__(None, None, None)


def align(features, rois, side, scale, ratio):
    return torchvision.ops.roi_align(features, rois, side, scale, ratio, aligned=True)


@pytest.fixture
def waits(bench, monkeypatch):
    """Counts the waits of a step of the classifier stage with overrides: by images and others."""

    def count(*overrides: str) -> tuple[int, int]:
        seen = HostWaits()
        bench("classifier", "trainer.limit_train_batches=2", *overrides).fit(seen)
        return seen.waits.pop("nms"), seen.waits.total()

    monkeypatch.setattr(roi_pooling, "roi_align", align)
    return count


def heads(name: str, count: int) -> list[str]:
    """Overrides that leave heads of one kind alone."""
    added = [f"+head@stages.classifier.heads.h{number}={name}" for number in range(count)]
    return ["~stages.classifier.heads.bacl", "~stages.classifier.heads.baseline", *added]


def test_the_counter_sees_what_waits():
    seen = HostWaits()
    values, mask = torch.tensor([1.0, 2.0]), torch.tensor([True, False])
    seen.on_train_batch_start(None, None, None, 1)
    values.sum().item()
    values[mask]
    values[mask] = 3.0
    torch.equal(values, values)
    values.nonzero()
    mask.unique()
    values.tolist()
    torch.tensor(1.0)
    torch.repeat_interleave(torch.ones(2, dtype=torch.int64))
    values[torch.zeros(1, dtype=torch.int64)] + values.mean().clamp(min=0)
    seen.on_train_batch_end(None, None, None, None, 1)
    values.tolist()
    assert seen.waits.pop("_local_scalar_dense") == 1
    assert seen.waits == dict.fromkeys(
        [
            "index",
            "index_put_",
            "equal",
            "nonzero",
            "_unique2",
            "tolist",
            "tensor",
            "repeat_interleave",
        ],
        1,
    )


@pytest.mark.parametrize("images", [2, 4])
def test_waits_of_the_detector_do_not_grow_with_the_images(waits, images):
    suppressed, others = waits(*heads("cross_entropy", 1), f"datamodule.batch_size={images}")
    assert suppressed == SUPPRESSION * images
    assert others == DETECTOR


@pytest.mark.parametrize("images", [1, 4])
def test_waits_at_inference_do_not_grow_with_the_images(bench, monkeypatch, images):
    monkeypatch.setattr(roi_pooling, "roi_align", align)
    monkeypatch.setattr(ranking, "ALONE_ON", ())
    monkeypatch.setattr(class_suppression, "ON_HOST", ())
    score = "detector.postprocess.score_threshold=0"
    table = bench("classifier", *heads("cross_entropy", 1), score)
    batch = next(iter(table.data.val_dataloader()))
    several = Batch(batch.images[:1].repeat(images, 1, 1, 1), batch.targets[:1] * images)
    seen = HostWaits()
    with seen.operators:
        (found,) = table.stage.eval().detect(several).values()
    assert all(len(image.labels) > 0 for image in found)
    assert seen.waits.pop("nms") == SUPPRESSION * images
    assert seen.waits.pop("equal") <= 5  # by the longest chain of boxes that suppress each other
    assert seen.waits.total() == INFERENCE


@pytest.mark.parametrize("name", EXTRA)
def test_waits_of_other_detectors(waits, name):
    _, others = waits(*heads("cross_entropy", 1), f"detector={name}")
    assert others == DETECTOR + EXTRA[name]


def test_most_losses_wait_for_nothing(waits):
    at = "+head@stages.classifier.heads"
    others = [f"{at}.{name}={name}" for name in WAITING_FOR_NOTHING]
    _, counted = waits(*heads("cross_entropy", 1), *others)
    assert counted == DETECTOR


def test_waits_of_heads_that_look_at_features(waits):
    at = "+head@stages.classifier.heads"
    others = [f"{at}.{name}={name}" for name in OF_FEATURES]
    _, counted = waits(*heads("cross_entropy", 1), *others)
    assert counted == DETECTOR + sum(OF_FEATURES.values())


@pytest.mark.parametrize(
    ("name", "once", "each"),
    [("bacl", JITTERED, BACL), ("eqlv2", 0, 0), ("seesaw", 0, 1), ("rog", 0, 1)],
)
def test_waits_of_a_head_are_few_beside_others_too(waits, name, once, each):
    for count in (1, 8):
        _, others = waits(*heads(name, count))
        assert others == DETECTOR + once + count * each
