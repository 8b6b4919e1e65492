"""A pass over training images for calibrations that look at a trained classifier's logits."""

from collections.abc import Iterable, Mapping

import torch

from bacl.data.batch import Batch
from bacl.detectors.region_detector import RegionDetector
from bacl.heads import Calibration, Head
from bacl.stages.detection import Variant
from bacl.stages.draws import SAMPLING, seed_draws


def waiting(
    heads: Mapping[str, Head], variants: Mapping[str, Variant]
) -> list[tuple[Head, Calibration]]:
    """Calibrations of the variants that have yet to observe something, each with its head.

    Raises:
        OptionError: one would observe what it may not change: see `Calibration.require_logits`.
    """
    pairs = [(heads[each.head], each.calibration) for each in variants.values()]
    chosen = [(head, calibration or head.calibration) for head, calibration in pairs]
    found = [(head, calibration) for head, calibration in chosen if calibration.waits]
    for head, calibration in found:
        calibration.require_logits(head.classifiers[-1].criterion)
    return found


@torch.no_grad()
def gather(
    detector: RegionDetector,
    pairs: list[tuple[Head, Calibration]],
    batches: Iterable[Batch],
    device: torch.device,
    seed: int,
) -> None:
    """Show the RoIs of training steps to calibrations; the detector looks at each image once.

    Every process calls it together.

    Args:
        detector: in eval mode.
        pairs: what `waiting` found.
        batches: this process' share of training images.
        device: where the detector is.
        seed: of the draws of RoIs.
    """
    for step, batch in enumerate(batches):
        batch = batch.to(device)
        seed_draws(seed, step, SAMPLING, device)
        regions = detector.training_regions(detector.pyramid(batch.images), batch.targets)
        for head, calibration in pairs:
            head.gather(regions.levels, calibration)
