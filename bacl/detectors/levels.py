"""What a detector hands to the classifiers: a level for each of them.

A Faster R-CNN has one level, a cascade one for every refinement of its boxes.
R: sampled RoIs of the batch, or proposals of an image. M: extra boxes of the batch. D: width of an
RoI feature. C: foreground classes; label C is background.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import torch
from torch import Tensor

from bacl.data.batch import Target
from bacl.detectors.boxes import paired_iou
from bacl.detectors.matching import SampledRoIs
from bacl.detectors.roi_pooling import with_image_index

Made = TypeVar("Made")


@dataclass(slots=True)
class ExtraBoxes:
    """Boxes whose features are wanted beside those of the sampled RoIs."""

    boxes: Sequence[Tensor]
    """(·, 4) xyxy per image, in pixels of the network's input; M in all."""
    labels: Tensor
    """(M,) int64 in [0, C), images in order."""
    joined: Tensor | None = None
    """(M, 4), the boxes of all images, where they are at hand."""


@dataclass(slots=True)
class ExtraFeatures:
    """What became of `ExtraBoxes` at one level."""

    features: Tensor
    """(M, D) without gradient, images in order."""
    labels: Tensor
    """(M,) int64 in [0, C)."""


@dataclass(eq=False)
class Level:
    """RoIs as one classifier sees them, at inference: the proposals of an image.

    What costs nothing is there, what costs something is made when it is asked for, once for all
    heads.
    """

    features: Tensor
    """(R, D), images in order."""
    boxes: Sequence[Tensor]
    """(·, 4) per image, in pixels of the network's input."""
    pool: Callable[[], Tensor] = field(repr=False)
    """Cuts the RoIs out of the pyramid."""
    encode: Callable[[Tensor], Tensor] = field(repr=False)
    """The level's feature extractor: from pooled RoIs to features, of any number of rows."""
    regress: Callable[[Tensor], Tensor] = field(repr=False)
    """The level's box regression: from features to deltas (R, 4 C) float32 of every class, or
    (R, 4), one for all."""
    proposed: Callable[[], Sequence[Tensor]] = field(repr=False)
    """Objectness (·,) in [0, 1] of each image's proposals."""

    @cached_property
    def pooled(self) -> Tensor:
        """(R, channels, side, side): what `features` were made of, cut out anew."""
        return self.pool()

    @cached_property
    def objectness(self) -> Tensor:
        """(R,) float32 in [0, 1], the proposal network's score of each RoI."""
        return torch.cat(list(self.proposed()))

    @cached_property
    def images(self) -> Tensor:
        """(R,) int64, the index of each RoI's image in the batch."""
        return with_image_index(self.boxes)[:, 0].long()


@dataclass(eq=False)
class TrainingLevel(Level):
    """A level of a training step: the RoIs were sampled from proposals, and have labels."""

    rois: SampledRoIs = field(repr=False)
    targets: Sequence[Target] = field(repr=False)
    """Of the batch: ids and sizes of the images, their objects, and the federated lists."""
    extra: Mapping[Hashable, ExtraFeatures] = field(default_factory=dict)
    """Features of the boxes that heads asked for, by what asked."""
    _made: dict[Hashable, object] = field(default_factory=dict, repr=False)

    @property
    def labels(self) -> Tensor:
        """(R,) int64 in [0, C]; C is background."""
        return self.rois.labels

    @property
    def objects(self) -> Tensor:
        """(R,) int64, index of each RoI's object in its image's target; negative for background."""
        return self.rois.objects

    @cached_property
    def iou(self) -> Tensor:
        """(R,) float32 in [0, 1], the overlap of each RoI with its object; 0 for background."""
        return paired_iou(torch.cat(list(self.boxes)), self.rois.object_boxes)

    @cached_property
    def objectness(self) -> Tensor:
        """(R,) float32 in [0, 1], the proposal network's score; 1 for an object's own box."""
        sources = self.rois.sources.split([len(boxes) for boxes in self.boxes])
        scores = [
            torch.cat((own.new_ones(1), own))[source.clamp(min=-1) + 1]
            for own, source in zip(self.proposed(), sources, strict=True)
        ]
        return torch.cat(scores)

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What `make` gives, made for the first head that asks with this key, and kept for others.

        So forty heads sum the same features once. Where a collective is in it, every process asks.
        """
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]  # type: ignore[return-value]


def fixed_level(
    pooled: Tensor,
    boxes: Tensor,
    encode: Callable[[Tensor], Tensor],
    regress: Callable[[Tensor], Tensor],
    objectness: Tensor,
) -> Level:
    """A level of RoIs (R, channels, side, side) that are cut out already, at boxes (R, 4).

    Args:
        pooled: the RoIs of several images, as of one.
        boxes: xyxy.
        encode: see `Level`.
        regress: see `Level`.
        objectness: (R,).
    """
    return Level(encode(pooled), [boxes], lambda: pooled, encode, regress, lambda: [objectness])


def uncut_level(
    pooled: Tensor, encode: Callable[[Tensor], Tensor], regress: Callable[[Tensor], Tensor]
) -> Level:
    """A level of RoIs (R, channels, side, side) that were cut out of nothing, to count its work."""
    boxes, score = pooled.new_zeros(len(pooled), 4), pooled.new_zeros(len(pooled))
    return Level(encode(pooled), [boxes], lambda: pooled, encode, regress, lambda: [score])
