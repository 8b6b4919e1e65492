"""What single jobs are told: a section of the configuration each."""

from collections.abc import Sequence
from typing import Annotated, Literal, TypedDict

from annotated_types import Interval, Len

from bacl.options.ranges import (
    Count,
    NotNegative,
    Parents,
    Pixels,
    Share,
    Text,
    Threshold,
    Whole,
)

Size = Annotated[Sequence[Pixels], Len(2, 2)]
"""Height and width."""


class Cost(TypedDict):
    """job=cost."""

    size: Size
    rois: Count
    candidates: Annotated[Sequence[Annotated[int, Interval(ge=1, le=10**8)]], Len(1)]
    images: Count
    warm_up: Whole


class Inspection(TypedDict):
    """job=data, and the steps of job=doctor."""

    pictures: bool
    steps: Annotated[int, Interval(ge=0, le=1000)]
    examples: Annotated[int, Interval(ge=1, le=1000)]


class Predict(TypedDict):
    """job=predict."""

    images: Text | int | None
    output: Text | None
    head: Text | None
    pictures: Whole | None
    outputs: Sequence[Literal["lvis", "coco", "yolo"]]
    score_threshold: Threshold
    one_label: bool
    tile: Annotated[int, Interval(ge=32, le=16_384)] | None
    overlap: Annotated[float, Interval(ge=0, le=0.9)]


class ExportTolerance(TypedDict):
    """Of what a file finds, beside what its model finds."""

    box: NotNegative
    score: Share
    unmatched: Share
    mask: Share
    rounding: NotNegative


class Export(TypedDict):
    """job=export."""

    format: Literal["onnx", "torch", "openvino", "tensorrt", "safetensors", "mmdet", "trees"]
    output: Text | None
    head: Text | None
    image_size: Size | None
    max_batch: Annotated[int, Interval(ge=1, le=1000)]
    candidates: Count
    score_threshold: Threshold | None
    one_label: bool
    pictures: Text | None
    tried: Annotated[int, Interval(ge=1, le=1000)]
    tolerance: ExportTolerance
    parents: Parents
