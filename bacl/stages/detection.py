"""Detections of every head from one pass over the images."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from bacl.data.batch import Batch, Detections, Target
from bacl.detectors.region_detector import ImageRegions, RegionDetector
from bacl.heads import Head


@torch.no_grad()
def detect(
    detector: RegionDetector, heads: Mapping[str, Head], batch: Batch
) -> dict[str, list[Detections]]:
    """Every head's detections, per image, in pixels of the original files.

    Backbone, proposals and boxes are computed once.
    """
    pyramid = detector.pyramid(batch.images)
    regions = detector.inference_regions(pyramid, batch.sizes)
    return {
        name: _classified(detector, head, pyramid, regions, batch.targets)
        for name, head in heads.items()
    }


def _classified(
    detector: RegionDetector,
    head: Head,
    pyramid: Sequence[Tensor],
    regions: Sequence[ImageRegions],
    targets: Sequence[Target],
) -> list[Detections]:
    detections = [
        detector.detect(region, head.scores(region.levels), target.size)
        for region, target in zip(regions, targets, strict=True)
    ]
    segmented = detector.segment(pyramid, detections, targets)
    return [found.rescaled(target) for found, target in zip(segmented, targets, strict=True)]
