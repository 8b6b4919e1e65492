"""Region proposal network (Faster R-CNN 2015) on a feature pyramid.

B: images. A: anchors per position. N: anchors of an image over all levels. S: sampled anchors.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bacl.data.batch import Target
from bacl.detectors.anchors import AnchorGenerator
from bacl.detectors.boxes import BoxCoder
from bacl.detectors.cast_weights import CastWeights, call_with
from bacl.detectors.matching import BalancedSampler, IoUMatcher
from bacl.detectors.proposals import Proposals, ProposalSelection
from bacl.detectors.rpn_head import Neighbourhoods, RPNHead
from bacl.detectors.transfers import Awaited, sent
from bacl.options.ranges import Layers, NotNegative, Width


class RegionProposalNetwork(nn.Module):
    """Proposals of every image, and the losses of a few sampled anchors.

    The losses look at some 256 of about 10⁵ anchors of an image. So in training the dense outputs
    are computed without a graph, for proposals only, and those of the sampled anchors once more
    with one: same losses, same gradients, without the dense backward convolutions.

    Args:
        in_channels: of the pyramid.
        channels: of the shared 3×3 convolutions.
        anchors: generator for all pyramid levels.
        coder: between boxes and deltas.
        matcher: anchors to objects.
        sampler: number of sampled anchors per image and part of positives.
        training: selection of proposals for training.
        inference: selection of proposals otherwise.
        beta: errors of deltas below it enter the loss as their square over 2 beta; 0 for L1.
        layers: shared 3×3 convolutions.
    """

    def __init__(
        self,
        in_channels: int,
        channels: Width,
        anchors: AnchorGenerator,
        coder: BoxCoder,
        matcher: IoUMatcher,
        sampler: BalancedSampler,
        training: ProposalSelection,
        inference: ProposalSelection,
        beta: NotNegative = 0.0,
        layers: Layers = 1,
    ) -> None:
        super().__init__()
        self.cast = CastWeights()
        self.beta = beta
        self.anchors = anchors
        self.head = RPNHead(in_channels, channels, anchors.per_position, layers)
        self.coder = coder
        self.matcher = matcher
        self.sampler = sampler
        self.training_selection = training
        self.inference_selection = inference

    def forward(
        self, pyramid: Sequence[Tensor], targets: Sequence[Target]
    ) -> tuple[Proposals, dict[str, Tensor]]:
        """Training proposals, and the losses "rpn_objectness" and "rpn_box"."""
        proposals, losses = self.begin(pyramid, targets, Awaited())
        return proposals, losses()

    def begin(
        self, pyramid: Sequence[Tensor], targets: Sequence[Target], awaited: Awaited
    ) -> tuple[Proposals, Callable[[], dict[str, Tensor]]]:
        """Training proposals, and what computes the losses.

        The losses need numbers from the device, which `awaited` has if something else has needed
        others by then.
        """
        sizes = [target.size for target in targets]
        proposals = self._select(self.training_selection, pyramid, sizes, targets, awaited)
        return proposals, self._examples(pyramid, targets, awaited)

    def proposals(
        self,
        pyramid: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        awaited: Awaited | None = None,
    ) -> Proposals:
        """Inference proposals, clipped to `sizes` (height, width).

        Whether they are finite is found out by the next fetch of `awaited`, or at once.
        """
        return self._select(self.inference_selection, pyramid, sizes, None, awaited)

    @torch.no_grad()
    def _select(
        self,
        selection: ProposalSelection,
        pyramid: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        targets: Sequence[Target] | None,
        awaited: Awaited | None,
    ) -> Proposals:
        anchors = self.anchors.placed(_shapes(pyramid)).boxes
        weights = self.cast.of(self.head)
        dense = [call_with(self.head, weights, features) for features in pyramid]
        objectness, deltas = zip(*dense, strict=True)
        found = objectness, deltas, self.coder
        selected = selection(anchors, *found, sizes, targets, awaited)
        boxes, logits = zip(*selected, strict=True)
        return Proposals(boxes, logits)

    @torch.no_grad()
    def _examples(
        self, pyramid: Sequence[Tensor], targets: Sequence[Target], awaited: Awaited
    ) -> Callable[[], dict[str, Tensor]]:
        """Draw the anchors that the losses look at, all images' positives first.

        Anchors that are not inside the image's own padding take no part, not even in the search for
        the anchor that overlaps an object most.
        """
        shapes = _shapes(pyramid)
        anchors = self.anchors.placed(shapes)
        inside = anchors.inside([target.padded_size for target in targets])
        objects = torch.cat([target.boxes for target in targets])
        counts = [len(target.boxes) for target in targets]
        matches = self.matcher(objects, counts, anchors.coordinates.unsqueeze(1), inside)
        drawn = self.sampler(matches, False, awaited)
        images, index = drawn.rows // matches.shape[1], drawn.rows % matches.shape[1]
        positives = drawn.rows[: drawn.counts[0].sum()]
        boxes = objects[matches.flatten()[positives]]
        goal = self.coder.encode(boxes, anchors.boxes[index[: len(positives)]])
        found = self.head.find(shapes, images, index, awaited)
        return partial(self._losses, pyramid, found, goal)

    def _losses(
        self, pyramid: Sequence[Tensor], found: Neighbourhoods, goal: Tensor
    ) -> dict[str, Tensor]:
        """Of examples of which the first are positives, with deltas `goal` (·, 4)."""
        logits, deltas = self.head.at(pyramid, found, len(goal))
        number = np.arange(len(logits))
        labels = sent((number < len(goal)).astype(np.float32), logits.device)
        objectness = F.binary_cross_entropy_with_logits(logits.float(), labels, reduction="sum")
        box = F.smooth_l1_loss(deltas.float(), goal, reduction="sum", beta=self.beta)
        samples_in_all = max(len(number), 1)
        return {"rpn_objectness": objectness / samples_in_all, "rpn_box": box / samples_in_all}


def _shapes(pyramid: Sequence[Tensor]) -> list[tuple[int, int]]:
    return [(features.shape[2], features.shape[3]) for features in pyramid]
