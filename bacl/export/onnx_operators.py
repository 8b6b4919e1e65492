"""How operators of our own become ONNX operators. Imports onnxscript.

B: images. N: boxes of an image. G: groups. S: survivors.
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


TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.ops.bacl.survivors.default: survivors
}
