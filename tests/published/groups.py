"""Every comparison with the published code, by name."""

from collections.abc import Callable, Iterator

from tests.published import forward, parts, training
from tests.published.difference import Difference

GROUPS: dict[str, Callable[[], Iterator[Difference]]] = {
    "box coder": parts.box_coder,
    "suppression": parts.suppression,
    "RoIAlign": parts.roi_alignment,
    "sizes of images": parts.preprocessing,
    "backbone and pyramid": forward.features,
    "anchors": forward.anchors,
    "RPN outputs": forward.rpn_outputs,
    "proposals": forward.proposals,
    "RoI outputs": forward.roi_outputs,
    "detections": forward.detections,
    "masks": forward.masks,
    "baseline step": training.baseline,
    "representation step": training.representation,
    "classifier steps": training.classifier,
}
