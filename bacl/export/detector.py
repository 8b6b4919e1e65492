"""The detector as one function of one image, without data-dependent shapes.

P: proposals. C: foreground classes. K: candidates, (proposal, class) pairs. D: detections.
"""

import copy
from collections.abc import Sequence

import torch
import torchvision
from torch import Tensor, nn

from bacl.data.batch import STRIDE
from bacl.data.collate import IMAGENET_MEAN, IMAGENET_STD
from bacl.detectors.acceptance import Acceptance, excess
from bacl.detectors.boxes import large_enough
from bacl.detectors.faster_rcnn import FasterRCNN
from bacl.detectors.levels import Level
from bacl.detectors.region_detector import RegionDetector
from bacl.export.one_label import first_kept, of_one_label
from bacl.export.suppression import Survivors, survivors
from bacl.heads import Head
from bacl.messages.errors import OptionError


class ExportableDetector(nn.Module):
    """Backbone, proposals, one classifier head and suppression, wired for a tracer.

    It gives the detections of the parts it is made of. What the training code does with as many
    rows as there are, this does with a fixed number of rows of which some are empty:

    * every RoI is pooled from every pyramid level, but as an empty box from those it does not
      belong to, which costs nothing and gives zeros; the sum over levels is the pooled RoI;
    * the `candidates` best (proposal, class) pairs enter the suppression, not as many as it takes
      to find all detections. Where fewer than `max_detections` of them survive and there are more
      above the score threshold, detections that rank behind them all are missing.

    Equal scores may come in another order, and at the end of the list make others of them stay.

    Args:
        detector: Faster R-CNN.
        head: classifies its RoI features.
        image_size: (height, width) of the input, multiples of 32.
        candidates: K at most.
        suppress: how boxes of a group suppress each other.
        accept: which of the detections are given; None gives all.

    Raises:
        OptionError: another kind of detector, sides that are no multiples of 32, or too few
            candidates.
    """

    mean: Tensor
    scale: Tensor
    thresholds: Tensor

    def __init__(
        self,
        detector: RegionDetector,
        head: Head,
        image_size: Sequence[int],
        candidates: int = 5000,
        suppress: Survivors = survivors,
        accept: Acceptance | None = None,
    ) -> None:
        super().__init__()
        if type(detector) is not FasterRCNN:  # a subclass would lose what it adds
            raise OptionError(f"a {type(detector).__name__} cannot be exported, only a FasterRCNN")
        if detector.mask is not None:
            raise OptionError(
                "a detector with masks cannot be exported for other runtimes; job=predict writes "
                "masks, and export.format=mmdet keeps them"
            )
        sides = isinstance(image_size, Sequence) and len(image_size) == 2
        if not sides or any(side < STRIDE or side % STRIDE for side in image_size):
            raise OptionError(
                f"image_size={image_size}: expected [height, width] in multiples of {STRIDE}"
            )
        if candidates < detector.postprocess.max_detections:
            raise OptionError(
                f"candidates={candidates}: there may be as many detections as "
                f"{detector.postprocess.max_detections}"
            )
        self.detector = copy.deepcopy(detector)
        self.detector.backbone.fold_norms()
        self.head = head
        self.image_size = tuple(image_size)
        self.candidates = candidates
        self.suppress = suppress
        self.one_label_iou = None if accept is None else accept.one_label_iou
        limits = torch.zeros(detector.num_classes) if accept is None else accept.thresholds
        self.register_buffer("thresholds", limits, persistent=False)
        self.register_buffer("mean", IMAGENET_MEAN.view(3, 1, 1), persistent=False)
        self.register_buffer("scale", (1 / IMAGENET_STD).view(3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    @property
    def example(self) -> tuple[Tensor, Tensor]:
        """Inputs to trace with: a black image that fills its canvas."""
        return torch.zeros(3, *self.image_size, dtype=torch.uint8), torch.tensor(self.image_size)

    def forward(self, image: Tensor, size: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Detections, best first.

        Args:
            image: (3, H, W) uint8 RGB; the picture in the upper left corner, anything beside it.
            size: (2,) int64, height and width of the picture.

        Returns:
            Boxes (D, 4) float32 xyxy in pixels of `image`, scores (D,) float32 and labels (D,)
            int64. D is fixed: rows behind the last detection have score 0 and label -1.
        """
        pyramid = self.detector.pyramid(self._normalised(image, size))
        limits = size.flip(0).repeat(2).float()
        proposals, logits = self._proposals(pyramid, limits)
        valid = logits > -torch.inf
        pooled, encode = self._pooled(pyramid, proposals), self.detector.box_head
        objectness = torch.where(valid, logits.sigmoid(), 0.0)
        regress = self.detector.box_regression
        scored = lambda: [objectness]  # noqa: E731
        level = Level(encode(pooled), [proposals], lambda: pooled, encode, regress, scored)
        scores = self.head.scores([level])[:, :-1].float()
        scores = torch.where(valid.unsqueeze(1), scores, 0.0)
        deltas = regress(level.features).unflatten(1, (-1, 4))
        return self._detections(proposals, scores, deltas, limits)

    def _normalised(self, image: Tensor, size: Tensor) -> Tensor:
        rows, columns = (torch.arange(side, device=image.device) for side in self.image_size)
        inside = (rows < size[0]).unsqueeze(1) & (columns < size[1]).unsqueeze(0)
        return torch.where(inside, (image.float() - self.mean) * self.scale, 0.0).unsqueeze(0)

    def _proposals(self, pyramid: Sequence[Tensor], limits: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes (P, 4) and their objectness logits (P,): -inf where there is no proposal."""
        rpn = self.detector.rpn
        selection = rpn.inference_selection
        anchors = rpn.anchors([(level.shape[2], level.shape[3]) for level in pyramid])
        boxes, scores = [], []
        for features, references in zip(pyramid, anchors, strict=True):
            objectness, deltas = (output[0].float() for output in rpn.head(features))
            best, index = objectness.topk(min(selection.per_level, objectness.shape[0]))
            decoded = rpn.coder.decode(deltas[index], references[index])
            clipped = _clip(decoded, limits)
            kept = self.suppress(clipped, torch.zeros_like(index), 1, selection.nms_iou)
            if selection.min_side > 0:
                kept = kept & large_enough(clipped, selection.min_side)
            boxes.append(clipped)
            scores.append(torch.where(kept, best, -torch.inf))
        every, ranks = torch.cat(boxes), torch.cat(scores)
        best, index = ranks.topk(min(selection.total, every.shape[0]))
        return every[index], best

    def _pooled(self, pyramid: Sequence[Tensor], proposals: Tensor) -> Tensor:
        """(P, channels, side, side)."""
        pooling = self.detector.pooling
        rois = torch.nn.functional.pad(proposals, (1, 0))  # of image 0
        levels = pooling.levels(rois)
        parts = [
            torchvision.ops.roi_align(
                features,
                pooling.placed(rois * (levels == level).unsqueeze(1), stride),
                pooling.side,
                1 / stride,
                pooling.sampling_ratio,
                aligned=True,
            )
            * (levels == level).view(-1, 1, 1, 1)
            for level, (features, stride) in enumerate(zip(pyramid, pooling.strides, strict=False))
        ]
        return torch.stack(parts).sum(0)

    def _detections(
        self, proposals: Tensor, scores: Tensor, deltas: Tensor, limits: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        rule, classes = self.detector.postprocess, scores.shape[1]
        count = min(self.candidates, scores.numel())
        best, index = scores.flatten().topk(count)
        proposal, label = index // classes, index % classes
        boxes = _clip(rule.decode(deltas.flatten(0, 1)[index], proposals[proposal]), limits)
        kept = self.suppress(boxes, label, classes, rule.tolerated_iou)
        kept = kept & (best > rule.score_threshold)
        if rule.min_side > 0:
            kept = kept & large_enough(boxes, rule.min_side)
        # Already sorted: the survivors' order is that of their positions.
        index, filled = first_kept(kept, min(rule.max_detections, count))
        boxes, best, label = boxes[index], best[index] * filled, label[index]
        filled = filled & (best >= self.thresholds[label])
        if self.one_label_iou is not None:
            # What is not taken comes last, where it suppresses nothing that is.
            odds = torch.where(filled, excess(best, self.thresholds[label]), -torch.inf)
            filled = filled & of_one_label(boxes, odds, self.one_label_iou, self.suppress)
        index, filled = first_kept(filled, len(filled))
        return (
            boxes[index] * filled.unsqueeze(1),
            best[index] * filled,
            torch.where(filled, label[index], -1),
        )


def _clip(boxes: Tensor, limits: Tensor) -> Tensor:
    """Boxes (N, 4) cut to [0, limits], (4,) of width, height, width, height."""
    return torch.minimum(boxes.clamp(min=0), limits)
