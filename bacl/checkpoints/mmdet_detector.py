"""Files of MMDetection and of the paper's release as trained detectors to start from."""

import re

from torch import Tensor, nn

from bacl.checkpoints.mmdet_file import PublishedFile
from bacl.checkpoints.mmdet_names import CASCADE, our_name
from bacl.checkpoints.trained_detector import TrainedDetector, TrainedHead, single_level
from bacl.detectors.mask_head import NormalisedMaskPredictor, PlainMaskPredictor
from bacl.losses import (
    BinaryCrossEntropyWithObjectness,
    ClassificationLoss,
    SoftmaxCrossEntropy,
)

DETECTOR, HEAD, PREDICTOR = "detector.", "head.", "predictor."
DETECTORS = (
    ("roi_head.bbox_head.1.fc_reg.weight", "cascade_rcnn"),
    ("roi_head.mask_head.conv_logits.weight", "mask_rcnn"),
    ("roi_head.bbox_head.fc_reg.weight", "faster_rcnn"),
)
"""(name that a file holds, begin of the option of `detector` that takes it); the first counts."""
DEEP = "backbone.layer3.22.conv1.weight"
"""A ResNet-101 has it."""
CONFUSION = "loss_cls.cm_numerator"
"""The paper's release has it where the classifier was trained by FCBL, with sigmoids."""
LOSS = re.compile(r"bbox_head\s*=.*?loss_cls\s*=\s*dict\(([^)]*)\)", re.DOTALL)
NORMALISED = re.compile(r"Norm(ed|alized)?_?Conv", re.IGNORECASE)


def is_mmdet(file: PublishedFile) -> bool:
    """Whether a file is of a two-stage detector of MMDetection, by the names of its tensors."""
    return any(key.startswith("roi_head.bbox_head.") for key in file.state)


def mmdet_detector(file: PublishedFile) -> TrainedDetector:
    """What such a file holds; shapes and the order of classes are ours.

    Tensors do not tell softmax from sigmoids, nor plain layers from normalised ones: the
    configuration in the file does, where there is one.
    """
    detector, layers = dict[str, Tensor](), dict[str, dict[str, Tensor]]()
    left_out = dict[str, str]()
    for key, value in file.state.items():
        ours = our_name(key)
        if ours is None:
            left_out[key] = "no part of our detectors"
        elif ours.startswith(DETECTOR):
            detector[ours.removeprefix(DETECTOR)] = value
        elif PREDICTOR in ours:
            level, _, name = ours.removeprefix(HEAD).rpartition(PREDICTOR)
            layers.setdefault(level.rstrip("."), {})[name] = value
        else:
            left_out[key] = "statistics of a classifier start anew"
    cascade = {name: layers[name] for name in CASCADE if name in layers}
    levels = cascade or single_level(layers.get("", {}))
    loss = _loss(file)
    return TrainedDetector(
        told="a detector of MMDetection",
        detector=detector,
        heads={"bbox_head": TrainedHead(levels, loss, nn.Linear if loss else None)},
        names=file.category_names,
        mask_predictor=_mask_predictor(file),
        left_out=left_out,
        suggestion=_suggestion(file),
    )


def _loss(file: PublishedFile) -> type[ClassificationLoss] | None:
    if any(key.endswith(CONFUSION) for key in file.state):
        return BinaryCrossEntropyWithObjectness
    said = LOSS.search(file.config)
    options = "" if said is None else said[1].replace(" ", "")
    softmax = re.search(r"type=['\"]CrossEntropyLoss['\"]", options)
    return SoftmaxCrossEntropy if softmax and "use_sigmoid=True" not in options else None


def _mask_predictor(file: PublishedFile) -> type[nn.Module] | None:
    if not file.config:
        return None
    return NormalisedMaskPredictor if NORMALISED.search(file.config) else PlainMaskPredictor


def _suggestion(file: PublishedFile) -> str:
    kind = next((option for key, option in DETECTORS if key in file.state), "faster_rcnn")
    return f"detector={kind}_{'r101' if DEEP in file.state else 'r50'}"
