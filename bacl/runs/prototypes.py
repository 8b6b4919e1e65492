"""Classifiers that start from class prototypes: `init: prototypes` of a stage or of a head.

The detector that a stage starts from makes an RoI feature of every annotated box of the training
images; a class's prototype is the mean of its features (nearest class mean; Kang et al., ICLR
2020). Its row of weights becomes the prototype at unit length (imprinted weights; Qi, Brown and
Lowe, CVPR 2018), times one factor for all: the mean length of the foreground rows that the
classifier would have started with. These are those of the earlier stage's classifier where it fits,
and else new ones. What has no prototype stays as it would have been: biases, background, other
logits beyond the classes, and classes without objects.

Decided here: images go through the test transform, since that of the training cannot do without
draws; and one at a time, so that no feature depends on a batch, nor on the number of processes.

C: foreground classes. D: width of an RoI feature. N: objects of an image.
"""

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor
from torch.nn import functional

from bacl.data.batch import Batch
from bacl.data.datamodule import data_of
from bacl.detectors.any_detector import Detector
from bacl.heads import Head
from bacl.heads.predictors import class_module
from bacl.processes.distributed import sum_over_processes
from bacl.stages import DetectionStage


class FromPrototypes(Callback):
    """Before the first step of a training that begins, and of no other."""

    def __init__(self, heads: Sequence[str]) -> None:
        """`heads` are the stage's that start so, by name."""
        self.heads = heads

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the training images once, for all heads; every process does, at its share."""
        data, stage = data_of(trainer), cast(DetectionStage, pl_module)
        rank_zero_info(f"prototypes of all classes, for {', '.join(self.heads)}")
        stage.detector.eval()
        sums = feature_sums(stage.detector, data.object_dataloader(), stage.device)
        stage.train()
        for name in self.heads:
            imprint(stage.live_heads[name], sums)


@torch.no_grad()
def feature_sums(
    detector: Detector, batches: Iterable[Batch], device: torch.device
) -> list[Tensor]:
    """Sums of the features of each class's annotated boxes over all processes.

    Args:
        detector: in eval mode.
        batches: this process' share of the images.
        device: where the detector is.

    Returns:
        (C, D) float64 of each of the detector's levels; zero for a class without objects.
    """
    shape = (detector.num_classes, detector.feature_dim)
    sums = [torch.zeros(shape, dtype=torch.float64, device=device) for _ in detector.level_weights]
    for batch in (batch.to(device) for batch in batches):
        labels = torch.cat([target.labels for target in batch.targets])
        boxes = [target.boxes for target in batch.targets]
        found = detector.box_features(detector.pyramid(batch.images, batch.padded_sizes), boxes)
        for total, features in zip(sums, found, strict=True):
            # index_put_ sums in a fixed order on CUDA too: runs repeat bit for bit.
            total.index_put_((labels,), features.double(), accumulate=True)
    return [sum_over_processes(total) for total in sums]


@torch.no_grad()
def imprint(head: Head, sums: Sequence[Tensor]) -> None:
    """Set the rows of a head's classes.

    Args:
        head: its classifiers' predictors have a row of weights for each logit, the classes' first.
        sums: what `feature_sums` returned; a sum points where its mean does.
    """
    for classifier, total in zip(head.classifiers, sums, strict=True):
        rows = class_module(classifier.predictor).get_parameter("weight")[: len(total)]
        length = rows.double().norm(dim=1).mean()
        known = total.norm(dim=1, keepdim=True) > 0
        imprinted = length * functional.normalize(total, dim=1)
        rows.copy_(torch.where(known, imprinted, rows.double()))
