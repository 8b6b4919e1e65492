"""What a file says of itself, by keys that are the same in every format (docs/export.md)."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from bacl.data.augmentation.transforms import ResizeShortSide
from bacl.data.batch import STRIDE
from bacl.data.collate import IMAGENET_MEAN, IMAGENET_STD
from bacl.detectors.region_detector import RegionDetector
from bacl.export.tracing import ImageSize

VERSION = 1
"""Raised whenever a key changes its meaning."""


def preprocessing(transform: nn.Module, size: ImageSize) -> dict[str, Any]:
    """From a picture file to a file's input, and what the file does by itself after that.

    Args:
        transform: of the test.
        size: of the input.
    """
    resize = None
    if isinstance(transform, ResizeShortSide):
        resize = {
            "short_side": transform.short_sides[0],
            "max_size": transform.max_size,
            "shift": transform.shift,
            "antialias": transform.antialias,
        }
    return {
        "colours": "RGB",
        "type": "uint8",
        "layout": "BCHW",
        "orientation": "upright",
        "resize": resize,
        "place": "upper left",
        "size": None if size is None else list(size),
        "inside": {
            "mean": [round(float(each), 4) for each in IMAGENET_MEAN],
            "std": [round(float(each), 4) for each in IMAGENET_STD],
            "padded_to_multiples_of": STRIDE,
            "padded_with": 0,
        },
    }


def postprocessing(detector: RegionDetector) -> dict[str, Any]:
    """How the file selects detections."""
    rule = detector.postprocess
    return {
        "boxes": "xyxy in pixels of the input",
        "score_threshold": rule.score_threshold,
        "nms_iou": rule.tolerated_iou,
        "max_detections": rule.max_detections,
        "empty": {"score": 0, "label": -1},
        "mask_threshold": None if detector.mask is None else detector.mask.threshold,
    }


def notes_of(
    detector: RegionDetector, transform: nn.Module, size: ImageSize, more: Mapping[str, Any]
) -> dict[str, Any]:
    """All of them.

    Args:
        detector: of the file.
        transform: of the test.
        size: of the file's input.
        more: of the checkpoint: categories, head, thresholds.
    """
    return {
        "bacl_export": VERSION,
        **more,
        "preprocessing": preprocessing(transform, size),
        "postprocessing": postprocessing(detector),
    }
