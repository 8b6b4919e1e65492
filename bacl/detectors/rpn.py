"""Region proposal network (Faster R-CNN 2015) on a feature pyramid.

B: images. A: anchors per position. N: anchors of an image over all levels. S: sampled anchors.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bacl.data.batch import Target
from bacl.detectors.anchors import AnchorGenerator
from bacl.detectors.boxes import BoxCoder
from bacl.detectors.matching import BalancedSampler, IoUMatcher
from bacl.detectors.proposals import Proposals, ProposalSelection
from bacl.detectors.rpn_head import RPNHead
from bacl.options.ranges import NotNegative, Width


class RegionProposalNetwork(nn.Module):
    """Proposals of every image, and the losses of a few sampled anchors.

    The losses look at some 256 of about 10⁵ anchors of an image. So in training the dense outputs
    are computed without a graph, for proposals only, and those of the sampled anchors once more
    with one: same losses, same gradients, without the dense backward convolutions.

    Args:
        in_channels: of the pyramid.
        channels: of the shared 3×3 convolution.
        anchors: generator for all pyramid levels.
        coder: between boxes and deltas.
        matcher: anchors to objects.
        sampler: number of sampled anchors per image and part of positives.
        training: selection of proposals for training.
        inference: selection of proposals otherwise.
        beta: errors of deltas below it enter the loss as their square over 2 beta; 0 for L1.
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
    ) -> None:
        super().__init__()
        self.beta = beta
        self.anchors = anchors
        self.head = RPNHead(in_channels, channels, anchors.per_position)
        self.coder = coder
        self.matcher = matcher
        self.sampler = sampler
        self.training_selection = training
        self.inference_selection = inference

    def forward(
        self, pyramid: Sequence[Tensor], targets: Sequence[Target]
    ) -> tuple[Proposals, dict[str, Tensor]]:
        """Training proposals, and the losses "rpn_objectness" and "rpn_box"."""
        anchors = self.anchors(_shapes(pyramid))
        sizes = [target.size for target in targets]
        proposals = self._select(self.training_selection, anchors, pyramid, sizes, targets)
        return proposals, self._losses(torch.cat(anchors), pyramid, targets)

    def proposals(self, pyramid: Sequence[Tensor], sizes: Sequence[tuple[int, int]]) -> Proposals:
        """Inference proposals, clipped to `sizes` (height, width)."""
        anchors = self.anchors(_shapes(pyramid))
        return self._select(self.inference_selection, anchors, pyramid, sizes)

    @torch.no_grad()
    def _select(
        self,
        selection: ProposalSelection,
        anchors: Sequence[Tensor],
        pyramid: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        targets: Sequence[Target] | None = None,
    ) -> Proposals:
        objectness, deltas = zip(*(self.head(features) for features in pyramid), strict=True)
        selected = selection(anchors, objectness, deltas, self.coder, sizes, targets)
        boxes, logits = zip(*selected, strict=True)
        return Proposals(boxes, logits)

    def _losses(
        self, anchors: Tensor, pyramid: Sequence[Tensor], targets: Sequence[Target]
    ) -> dict[str, Tensor]:
        shapes = _shapes(pyramid)
        inside = [self.anchors.inside(shapes, target.padded_size) for target in targets]
        positives, negatives, boxes = self._sample(anchors, inside, targets)
        images = _owners([*positives, *negatives], len(targets))
        index = torch.cat((*positives, *negatives))
        logits, deltas = self.head.at(pyramid, images, index)
        count = sum(len(part) for part in positives)
        labels = torch.zeros_like(logits, dtype=torch.float32)
        labels[:count] = 1
        goal = self.coder.encode(torch.cat(boxes), anchors[index[:count]])
        objectness = F.binary_cross_entropy_with_logits(logits.float(), labels, reduction="sum")
        box = F.smooth_l1_loss(deltas[:count].float(), goal, reduction="sum", beta=self.beta)
        samples_in_all = max(len(index), 1)
        return {"rpn_objectness": objectness / samples_in_all, "rpn_box": box / samples_in_all}

    @torch.no_grad()
    def _sample(
        self, anchors: Tensor, inside: Sequence[Tensor], targets: Sequence[Target]
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Indices of sampled positives and negatives, and the boxes of the positives' objects.

        Each is given per image. Anchors that are not `inside` the image's own padding take no part,
        not even in the search for the anchor that overlaps an object most.
        """
        pairs = list(zip(inside, targets, strict=True))
        matches = [self.matcher(target.boxes, anchors[index]) for index, target in pairs]
        positives, negatives, boxes = [], [], []
        images = zip(pairs, matches, self.sampler(matches), strict=True)
        for (index, target), own, (positive, negative) in images:
            positives.append(index[positive])
            negatives.append(index[negative])
            boxes.append(target.boxes[own[positive]])
        return positives, negatives, boxes


def _shapes(pyramid: Sequence[Tensor]) -> list[tuple[int, int]]:
    return [(features.shape[2], features.shape[3]) for features in pyramid]


def _owners(parts: Sequence[Tensor], images: int) -> Tensor:
    """Image index (S,) of parts that go round the images."""
    filled = [torch.full_like(part, number % images) for number, part in enumerate(parts)]
    return torch.cat(filled)
