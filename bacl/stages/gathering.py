"""A pass over training images for calibrations that look at a trained classifier's logits."""

from collections.abc import Iterable, Mapping

import torch

from bacl.data.batch import Batch
from bacl.detectors.any_detector import Detector
from bacl.heads import Calibration, Head
from bacl.heads.failures import Failures
from bacl.stages.detection import Variant
from bacl.stages.draws import SAMPLING, seed_draws


def waiting(
    heads: Mapping[str, Head], variants: Mapping[str, Variant], failures: Failures | None = None
) -> dict[str, tuple[Head, Calibration]]:
    """Calibrations that have yet to observe something, each with its head, by variant.

    Args:
        heads: by name.
        variants: of these heads, by name.
        failures: takes note of those that are refused.

    Raises:
        OptionError: one would observe what it may not change: see `Calibration.require_logits`.
    """
    failures, found = failures or Failures(), {}
    for name, variant in variants.items():
        head = heads[variant.head]
        calibration = variant.calibration or head.calibration
        if calibration.waits:
            with failures.of_this_process([name]):
                calibration.require_logits(head.classifiers[-1].criterion)
                found[name] = head, calibration
    return found


@torch.no_grad()
def gather(
    detector: Detector,
    pairs: Mapping[str, tuple[Head, Calibration]],
    batches: Iterable[Batch],
    device: torch.device,
    seed: int,
    failures: Failures | None = None,
) -> None:
    """Show the RoIs of training steps to calibrations; the detector looks at each image once.

    Every process calls it together.

    Args:
        detector: in eval mode.
        pairs: what `waiting` found.
        batches: this process' share of training images.
        device: where the detector is.
        seed: of the draws of RoIs.
        failures: takes note of variants whose calibration raises an error.
    """
    failures = failures or Failures()
    for step, batch in enumerate(batches):
        batch = batch.to(device)
        seed_draws(seed, step, SAMPLING, device)
        regions = detector.training_regions(
            detector.pyramid(batch.images, batch.padded_sizes), batch.targets
        )
        for name, (head, calibration) in pairs.items():
            if name not in failures:
                with failures.of([name]):
                    head.gather(regions.levels, calibration)
