"""The RoIs of a training step, and how images of different numbers of boxes stand side by side.

R: sampled RoIs of the batch. B: images. N: places of an image. C: foreground classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from bacl.detectors.transfers import sent

BACKGROUND = -1
"""The match of a box that is a negative example."""
IGNORED = -2
"""The match of a box that is no example at all."""


@dataclass(slots=True)
class Drawn:
    """What a sampler drew of the boxes (B, N) of a batch."""

    rows: Tensor
    """(S,) int64 in [0, B N): image times N plus box."""
    counts: np.ndarray
    """(2, B) how many positives and negatives are of each image."""


@dataclass(eq=False)
class SampledRoIs:
    """The RoIs of a training step, images in order, positives first within an image."""

    boxes: list[Tensor]
    """(·, 4) per image; R in all."""
    labels: Tensor
    """(R,) int64 in [0, C]; C is background."""
    objects: Tensor
    """(R,) int64, index of the matched object in its image's target; BACKGROUND for negatives."""
    object_boxes: Tensor
    """(R, 4) box of the matched object; zeros for negatives."""
    sources: Tensor
    """(R,) int64, the proposal of its image that an RoI is; negative for an object's own box."""
    positives: list[Tensor]
    """Per image the rows, in [0, R) and ascending, of its positives."""

    @cached_property
    def all_boxes(self) -> Tensor:
        """(R, 4)."""
        return torch.cat(self.boxes)

    @cached_property
    def foreground(self) -> Tensor:
        """(·,) int64 in [0, R), ascending: rows of all positives; the host knows how many."""
        return torch.cat(self.positives)

    @cached_property
    def added(self) -> Tensor:
        """(R,) bool, where a box is an object's own and no proposal."""
        return self.sources < 0


class Places:
    """Where each image's objects' own boxes and then its proposals stand among (B, N) places.

    Args:
        objects: number of each image's objects.
        proposals: number of its proposals. N is the largest of the sums.
    """

    def __init__(self, objects: Sequence[int], proposals: Sequence[int]) -> None:
        self.num_objects = own = np.array(objects, dtype=np.int64)
        others = np.array(proposals, dtype=np.int64)
        number = np.arange((own + others).max(initial=0))
        taken = number < (own + others)[:, None]
        is_object = number < own[:, None]
        self.free = taken & ~is_object
        """(B, N) bool, where a proposal is."""
        self.rows = np.where(taken, _starts(own + others)[:, None] + number, 0)
        """(B, N) the row among objects and proposals of an image after those of another."""
        self.proposals = np.where(self.free, (_starts(others) - own)[:, None] + number, 0)
        """(B, N) the row among all images' proposals."""
        self.given = np.where(is_object, _starts(own)[:, None] + number, IGNORED)
        """(B, N) the match of an object's own box: its row among all images' objects."""


def _starts(counts: np.ndarray) -> np.ndarray:
    return counts.cumsum() - counts


def sampled_rois(
    drawn: Drawn, boxes: Tensor, matches: Tensor, objects: Tensor, labels: Tensor, places: Places
) -> SampledRoIs:
    """What was drawn of boxes (B, N, 4) with their matches (B, N).

    Args:
        drawn: by image.
        boxes: objects' own boxes and proposals.
        matches: rows of their objects.
        objects: (·, 4) all objects' boxes; what a negative gets stands last, since its row is -1.
        labels: (·,) likewise.
        places: where they stand.
    """
    sizes, positives = drawn.counts.sum(axis=0), drawn.counts[0]
    numbers = np.concatenate([np.arange(number) for number in places.num_objects])
    before = np.repeat(_starts(sizes) - _starts(positives), positives)
    first = np.arange(len(sizes)) * matches.shape[1] + places.num_objects
    known = (*numbers, BACKGROUND), before + np.arange(len(before)), np.repeat(first, sizes)
    own, foreground, firsts = sent(np.concatenate(known), boxes.device).split(list(map(len, known)))
    rows, chosen = matches.flatten()[drawn.rows], boxes.flatten(0, 1)[drawn.rows]
    rois = SampledRoIs(
        boxes=list(chosen.split(sizes.tolist())),
        labels=labels[rows],
        objects=own[rows],
        object_boxes=objects[rows],
        sources=drawn.rows - firsts,
        positives=list(foreground.split(positives.tolist())),
    )
    rois.all_boxes, rois.foreground = chosen, foreground
    return rois
