"""Levels of given rows, as a detector would hand them over."""

import torch
from torch import Tensor, nn

from bacl.data.batch import Target
from bacl.detectors.levels import ExtraFeatures, Level, TrainingLevel
from bacl.detectors.matching import BACKGROUND, SampledRoIs
from bacl.heads import BoxGenerator, Classifier, Head

ENCODE = nn.Flatten()
"""RoIs of one cell with a channel for each feature are features."""
GENERATORS = (BoxGenerator(), BoxGenerator(shared=True))


def single(classifier: Classifier) -> Head:
    """A head for a detector of one level."""
    return Head({"first": classifier}, {"first": 1.0})


def level(features: Tensor) -> Level:
    """At inference."""
    boxes, scores = torch.zeros(len(features), 4), torch.ones(len(features))
    return Level(features, [boxes], lambda: one_cell(features), ENCODE, deltas, lambda: [scores])


def one_cell(features: Tensor) -> Tensor:
    """Pooled RoIs (R, D, 1, 1) that `ENCODE` makes features (R, D) of."""
    return features[:, :, None, None]


def deltas(features: Tensor) -> Tensor:
    """(R, 4), one for all classes."""
    return torch.stack([features.sum(dim=1).cos() * k for k in range(1, 5)], dim=1).float()


def training_level(
    features: Tensor,
    labels: Tensor,
    jittered: tuple[Tensor, Tensor] | None = None,
    objects: Tensor | None = None,
    object_boxes: Tensor | None = None,
    background: int | None = None,
) -> TrainingLevel:
    """Of a training step; `jittered` are features and labels of boxes jittered in any way.

    `background` is C, by default the largest label; every foreground row has an object of its own.
    """
    boxes = torch.zeros(len(features), 4)
    none = torch.full_like(labels, BACKGROUND)
    found = none if objects is None else objects
    around = boxes if object_boxes is None else object_boxes
    last = background if background is not None else int(labels.max()) if len(labels) else 0
    positives = (labels < last).nonzero().squeeze(1)
    rois = SampledRoIs([boxes], labels, found, around, none, [positives])
    size, none_known = (1, 1), labels[:0]
    own = boxes[positives], labels[positives]
    target = Target(0, *own, size, size, size, none_known, none_known)
    extra = {} if jittered is None else dict.fromkeys(GENERATORS, ExtraFeatures(*jittered))
    scores = torch.ones(0)
    cut, proposed = lambda: one_cell(features), lambda: [scores]
    return TrainingLevel(features, [boxes], cut, ENCODE, deltas, proposed, rois, [target], extra)
