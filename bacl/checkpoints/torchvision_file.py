"""Files of torchvision's detectors as trained detectors; they hold tensors alone."""

from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

from bacl.checkpoints.mmdet_file import PublishedFile
from bacl.checkpoints.names import renamed
from bacl.checkpoints.torchvision_names import CLASSIFIER, DETECTORS, OF_CLASSES, ROWS
from bacl.checkpoints.trained_detector import State, TrainedDetector, TrainedHead, single_level
from bacl.detectors.mask_head import PlainMaskPredictor
from bacl.losses import SoftmaxCrossEntropy

NAMELESS = "N/A"
"""torchvision's name of the ids that COCO left out."""


def is_torchvision(file: PublishedFile) -> bool:
    """Whether a file is of a torchvision detector, by the names of its tensors."""
    weight = file.state.get(f"{CLASSIFIER}weight")
    of_body = any(key.startswith("backbone.body.") for key in file.state)
    return of_body and weight is not None and weight.dim() == 2 and len(weight) > 1


def torchvision_detector(file: PublishedFile) -> TrainedDetector:
    """What such a file holds; background, their first class, becomes our last.

    A file with 91 logits has COCO's categories, as torchvision's weights have. Others name none.
    """
    state, left_out = dict[str, Tensor](), dict[str, str]()
    for key, value in file.state.items():
        if key.startswith(CLASSIFIER):
            continue
        if ours := renamed(key, ROWS):
            state[ours] = value
        else:
            left_out[key] = "no part of our detectors"
    layer = _classifier(file.state)
    classes = len(layer["weight"]) - 1
    for key in [key for key in state if key.startswith(OF_CLASSES) and state[key].dim() > 0]:
        rows = len(state[key]) // (classes + 1)  # of background, which has neither box nor mask
        state[key] = state[key][rows:]
    names = _names(classes)
    head = TrainedHead(single_level(layer), SoftmaxCrossEntropy, nn.Linear)
    option = next((option for key, option in DETECTORS if key in file.state), None)
    return TrainedDetector(
        told="a detector of torchvision",
        detector=state,
        heads={"box_predictor": head},
        names=names,
        mask_predictor=PlainMaskPredictor,
        left_out=left_out,
        suggestion=f"detector={option}" if option else "another detector",
    )


def _classifier(state: State) -> State:
    """Weight and bias with background last."""
    rows = {key.removeprefix(CLASSIFIER): state[key] for key in state if key.startswith(CLASSIFIER)}
    return {key: value.roll(-1, dims=0) if value.dim() else value for key, value in rows.items()}


def _names(classes: int) -> tuple[str | None, ...] | None:
    coco = FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"][1:]
    if classes != len(coco):
        return None
    return tuple(None if name == NAMELESS else name for name in coco)
