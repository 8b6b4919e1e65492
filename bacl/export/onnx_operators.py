"""How operators of our own, and one of torch's, become ONNX operators. Imports onnxscript.

B: images. N: boxes of an image. G: groups. S: survivors. D: channels.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir
import torch
from onnxscript import opset18

import bacl.export.suppression  # noqa: F401  (defines the operators)

op: Any = opset18
"""Its own types do not know that it takes Python numbers and lists for constants."""


def survivors(boxes: Any, groups: Any, num_groups: int, iou: float) -> Any:
    """`bacl.export.suppression.Survivors` by ONNX's NonMaxSuppression, group by group.

    The operator takes one score per group and box, here the rank of a box in its own group and
    nothing in the others, so no group needs to be moved apart and nothing is rounded.
    """
    count = boxes.shape[1]
    ranks = _constant(np.arange(count, 0, -1, dtype=np.float32))
    every = _constant(np.arange(num_groups).reshape(1, -1, 1))
    own = op.Equal(op.Unsqueeze(groups, [1]), every)  # (B, G, N)
    scores = op.Where(own, ranks, 0.0)
    selected = op.NonMaxSuppression(boxes, scores, [count], [iou], [0.5])
    index = op.Gather(selected, [0, 2], axis=1)  # (S, 2) of (S, 3): image, group, box
    ones = op.Expand(_constant(np.ones(1, np.int32)), op.Slice(op.Shape(index), [0], [1]))
    empty = op.Expand(_constant(np.zeros(1, np.int32)), op.Shape(groups))
    return op.Cast(op.ScatterND(empty, index, ones), to=onnx_ir.DataType.BOOL)


def _constant(values: np.ndarray) -> Any:
    return op.Constant(value=onnx_ir.tensor(values))


def upsample_bicubic_smoothed(
    maps: Any, output_size: Any, align_corners: bool, *scales: float | None
) -> Any:
    """Torch's `_upsample_bicubic2d_aa`, as positions of ViTs are resampled, by two products.

    ONNX's Resize says the same with antialias=1, which OpenVINO (2026.4) does not look at.

    Args:
        maps: (B, D, h, w) float32.
        output_size: (2,) int64.
        align_corners: false.
        *scales: torch does not look at them.
    """
    assert not align_corners
    shape = op.Shape(maps)
    down, across = (
        _cubic_weights(op.Gather(shape, side + 2), op.Gather(output_size, side)) for side in (0, 1)
    )
    return op.MatMul(op.MatMul(down, maps), op.Transpose(across, perm=[1, 0]))


def _cubic_weights(old: Any, new: Any) -> Any:
    """(new, old): what each old place is worth for a new one, along an axis.

    Keys' kernel with a = -0.5 (IEEE TASSP 1981, Eq. 8), as wide as a new cell where cells grow.
    """
    centre = op.Add(op.Cast(op.Range(0, new, 1), to=onnx_ir.DataType.FLOAT), 0.5)
    place = op.Add(op.Cast(op.Range(0, old, 1), to=onnx_ir.DataType.FLOAT), 0.5)
    float_old, float_new = (op.Cast(side, to=onnx_ir.DataType.FLOAT) for side in (old, new))
    scale = op.Div(float_old, float_new)
    apart = op.Sub(op.Unsqueeze(place, [0]), op.Unsqueeze(op.Mul(centre, scale), [1]))
    far = op.Abs(op.Div(apart, op.Max(scale, 1.0)))
    near_part = op.Add(op.Mul(op.Mul(op.Sub(op.Mul(far, 1.5), 2.5), far), far), 1.0)
    inner = op.Mul(op.Sub(op.Mul(op.Sub(2.5, op.Mul(far, 0.5)), far), 4.0), far)
    far_part = op.Where(op.Less(far, 2.0), op.Add(inner, 2.0), 0.0)
    weights = op.Where(op.Less(far, 1.0), near_part, far_part)
    return op.Div(weights, op.ReduceSum(weights, [1], keepdims=1))


TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.ops.bacl.survivors.default: survivors,
    torch.ops.aten._upsample_bicubic2d_aa.default: upsample_bicubic_smoothed,
}
