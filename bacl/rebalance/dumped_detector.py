"""A detector whose features are read from a dump: it has no weights, and nothing upstream moves.

P: rows of an image. C: categories. D: width of a feature.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

import torch
from torch import Tensor

from bacl.data.batch import Target
from bacl.detectors.any_detector import FIRST, NOTHING_ELSE, Detector, ImageRegions, Regions
from bacl.detectors.boxes import BoxCoder
from bacl.detectors.levels import ExtraBoxes, ExtraFeatures, Level, TrainingLevel
from bacl.detectors.postprocess import Postprocess
from bacl.detectors.sampled_rois import SampledRoIs
from bacl.messages.errors import OptionError
from bacl.options.marks import AfterTraining
from bacl.options.ranges import Classes, FeatureDim
from bacl.rebalance.dumped_batch import DumpedRows
from bacl.rebalance.object_features import object_features

Refusal = Callable[..., Any]


class DumpedDetector(Detector):
    """Hands dumped rows to the heads, and selects detections as the other toolkit does.

    Args:
        num_classes: C.
        feature_dim: D.
        postprocess: makes the step from scores to detections from `decode`; without suppression
            (nms_iou=1) it is the choice of the best (query, category) pairs.
        coder: of the dumped deltas; None where boxes are final.
    """

    def __init__(
        self,
        num_classes: Classes,
        feature_dim: FeatureDim,
        postprocess: AfterTraining[Callable[..., Postprocess]],
        coder: BoxCoder | None = None,
    ) -> None:
        super().__init__(num_classes, feature_dim)
        self.level_weights = {FIRST: 1.0}
        self.refines = coder is not None
        self.postprocess = postprocess(decode=coder.decode if coder else _as_they_are)

    def pyramid(
        self, images: DumpedRows, sizes: Sequence[tuple[int, int]] | None = None
    ) -> DumpedRows:
        """The rows themselves."""
        return images

    def training_regions(
        self,
        pyramid: DumpedRows,
        targets: Sequence[Target],
        extra: Mapping[Hashable, ExtraBoxes] = NOTHING_ELSE,
    ) -> Regions:
        """See `Detector.training_regions`; whatever boxes are asked for, those dumped are given.

        Raises:
            OptionError: features of repeated objects are asked for, and the dump has none.
        """
        rows = pyramid
        assert rows.labels is not None
        assert rows.objects is not None
        assert rows.object_boxes is not None
        assert rows.foreground is not None
        assert rows.foreground_counts is not None
        boxes = list(rows.boxes.split(rows.counts))
        rois = SampledRoIs(
            boxes,
            rows.labels,
            rows.objects,
            rows.object_boxes,
            torch.zeros_like(rows.labels),
            list(rows.foreground.split(rows.foreground_counts)),
        )
        found = {key: _repeated(rows) for key in extra}
        level = TrainingLevel(rows.features, boxes, *_NOT_DUMPED, rois, targets, found)
        return Regions([level], {})

    def inference_regions(
        self, pyramid: DumpedRows, sizes: Sequence[tuple[int, int]]
    ) -> list[ImageRegions]:
        """See `Detector.inference_regions`.

        Raises:
            OptionError: the dump has deltas and no coder is set, or the other way round.
        """
        rows = pyramid
        if self.refines and rows.deltas is None:
            raise OptionError("detector.coder: the dump has no deltas: detector.coder=null")
        if not self.refines and rows.deltas is not None:
            raise OptionError(
                "detector.coder=null, but the dump has deltas: name the stds that they are coded "
                "by, as in 'detector.coder={_target_: bacl.detectors.boxes.BoxCoder, stds: […]}'"
            )
        deltas = rows.boxes.new_zeros(len(rows.boxes), 4) if rows.deltas is None else rows.deltas
        parts = (part.split(rows.counts) for part in (rows.features, rows.boxes, deltas))
        return [
            ImageRegions([Level(features, [boxes], *_NOT_DUMPED)], own)
            for features, boxes, own in zip(*parts, strict=True)
        ]

    def box_features(self, pyramid: DumpedRows, boxes: Sequence[Tensor]) -> list[Tensor]:
        """See `Detector.box_features`; the boxes are those of all objects (`object_features`)."""
        return [object_features(pyramid, [len(own) for own in boxes])]


def _as_they_are(deltas: Tensor, boxes: Tensor) -> Tensor:
    return boxes


def _repeated(rows: DumpedRows) -> ExtraFeatures:
    if rows.extra_features is None or rows.extra_labels is None:
        _not_dumped("hallucination", "features of repeated objects (extra_features)")
    return ExtraFeatures(rows.extra_features, rows.extra_labels)


def _not_dumped(asks: str, what: str, *given: Any) -> NoReturn:
    raise OptionError(
        f"a head asks for what a dump has not, {what} ({asks}): leave it out "
        "('~stages.classifier.heads.NAME')"
    )


_NOT_DUMPED: tuple[Refusal, Refusal, Refusal, Refusal] = (
    partial(_not_dumped, "level.pool", "pooled RoIs"),
    partial(_not_dumped, "level.encode", "the feature extractor"),
    partial(_not_dumped, "level.regress", "the box regression"),
    partial(_not_dumped, "level.objectness", "scores of proposals"),
)
"""What a level of a detector makes when it is asked for."""
