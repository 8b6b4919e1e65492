"""Detections of every variant from one pass over the images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from bacl.data.batch import Batch, Detections, Target
from bacl.detectors.any_detector import Detector, ImageRegions
from bacl.detectors.postprocess import Postprocess
from bacl.detectors.transfers import sent
from bacl.heads import Calibration, Head
from bacl.heads.failures import Failures


@dataclass(frozen=True)
class Variant:
    """A head, and what may be changed of it and of the suppression once all is trained."""

    head: str
    """Name of the head."""
    calibration: Calibration | None = None
    """In place of the head's own."""
    postprocess: Postprocess | None = None
    """In place of the detector's."""


@torch.no_grad()
def detect(
    detector: Detector,
    heads: Mapping[str, Head],
    batch: Batch,
    variants: Mapping[str, Variant] | None = None,
    failures: Failures | None = None,
) -> dict[str, list[Detections]]:
    """Every variant's detections, per image, in pixels of the original files.

    Backbone, proposals and boxes are computed once, and each head's logits too.

    Args:
        detector: in eval mode.
        heads: by name.
        batch: of images; of the targets only the sizes are read.
        variants: by name; None takes the heads as they are.
        failures: takes note of variants that raise an error, of which there are no detections.
    """
    failures = failures or Failures()
    if variants is None:
        variants = {name: Variant(name) for name in heads}
    pyramid = detector.pyramid(batch.images, batch.padded_sizes)
    regions = detector.inference_regions(pyramid, batch.sizes)
    found = {}
    for name, head in heads.items():
        own = {key: each for key, each in variants.items() if each.head == name}
        logits: list[list[Tensor]] = []
        with failures.of_this_process(own):
            logits = [head.logits(each.levels) for each in regions] if own else []
        for key, variant in own.items():
            if key not in failures:
                with failures.of_this_process([key]):
                    detections = _classified(
                        detector, head, variant, regions, logits, batch.targets
                    )
                    segmented = detector.segment(pyramid, detections, batch.targets)
                    found[key] = rescaled(segmented, batch.targets)
    return found


def _classified(
    detector: Detector,
    head: Head,
    variant: Variant,
    regions: Sequence[ImageRegions],
    logits: Sequence[Sequence[Tensor]],
    targets: Sequence[Target],
) -> list[Detections]:
    """Detections of each image in pixels of the network's input, without masks."""
    scores = [
        head.calibrated(own, region.levels, variant.calibration)
        for region, own in zip(regions, logits, strict=True)
    ]
    sizes = [target.size for target in targets]
    return detector.detect_together(regions, scores, sizes, variant.postprocess)


def rescaled(images: Sequence[Detections], targets: Sequence[Target]) -> list[Detections]:
    """What `Detections.rescaled` gives for each image, to the bit, by few operators for all."""
    counts = [len(each.boxes) for each in images]
    if sum(counts) == 0:
        return list(images)
    factors = np.array([_factors(target) for target in targets], dtype=np.float32)
    boxes = torch.cat([each.boxes for each in images])
    boxes = boxes * sent(factors.repeat(counts, axis=0), boxes.device)
    pairs = zip(images, boxes.split(counts), strict=True)
    return [replace(each, boxes=own) for each, own in pairs]


def _factors(target: Target) -> tuple[float, ...]:
    """Of x1, y1, x2 and y2, from the network's input to the file."""
    (height, width), (original_height, original_width) = target.size, target.original_size
    return (original_width / width, original_height / height) * 2
