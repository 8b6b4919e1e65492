"""What MMDetection computes with a detector's tensors, whatever its configuration says.

Scale and ratios of its anchors, stds, the sampling and the alignment of its RoIAlign can be
configured there; what is named here cannot (its AnchorGenerator and DeltaXYWHBBoxCoder, 2.8).
"""

from collections.abc import Mapping
from typing import Any

from bacl.checkpoints.conventions import other_conventions
from bacl.checkpoints.handover import CheckpointError
from bacl.messages.shown import as_typed

CODER = {"coder": {"_target_": "bacl.detectors.boxes.BoxCoder"}}
"""Its deltas are clipped on both sides, as by default here."""
MMDETECTION: Mapping[str, Any] = {
    "rpn": {"anchors": {"_target_": "bacl.detectors.anchors.AnchorGenerator"}, **CODER},
    "box_regression": CODER,
}
"""As options of a detector here."""


def require_mmdet_conventions(said: str, own: Mapping[str, Any], mend: str) -> None:
    """Refuse to exchange tensors that fit, but mean other boxes in MMDetection.

    Args:
        said: what is asked for, for the message.
        own: options of our detector, plain values.
        mend: what to ask for instead.

    Raises:
        CheckpointError: names the options, and what stands for MMDetection's.
    """
    if differ := other_conventions(own, MMDETECTION, lambda tensors: True):
        told = ", ".join(
            f"detector.{key}={as_typed(ours)} (it computes as {as_typed(theirs)})"
            for key, (theirs, ours) in differ.items()
        )
        raise CheckpointError(
            f"{said}: the tensors fit, but MMDetection makes other boxes of them, as it has no "
            f"{told}; {mend}"
        )
