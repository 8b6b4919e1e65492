"""Multiply-adds as the published code counts them (mmcv's counter; FLOPs of Tab. XI).

It adds to the products of convolutions and linear layers one for every value that a convolution's
bias, a ReLU or a max-pooling (its input) touches and two for a batch norm's; biases of linear
layers are free. It watches layers and therefore misses functions: the ReLU of the RPN, the pooling
and the sums of the pyramid, RoIAlign, decoding and suppression; and layers of a kind that it does
not know: normalised predictors, of classes and of masks.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from bacl.detectors.fpn import FeaturePyramid
from bacl.detectors.mask_head import NormalisedMaskPredictor, PlainMaskPredictor
from bacl.detectors.rpn_head import RPNHead
from bacl.heads.predictors import NormalisedLinear

aten = torch.ops.aten
Shape = tuple[int, ...]
Counts = Mapping[str, Mapping[Any, int]]
"""Operations by module, and by operator within the module."""


def count_as_published(work: Callable[[], None]) -> int:
    """Multiply-adds of what `work` does with modules on the meta device."""
    formulas = {aten.convolution: _convolution} | ELEMENTWISE
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=formulas) as counter:
        work()
    return (counter.get_total_flops() - _elementwise(counter.get_flop_counts())) // 2


def _elementwise(counts: Counts) -> int:
    """Operations that the published counter misses, because no layer stands for them."""
    functional: Iterable[type[nn.Module]] = (FeaturePyramid, RPNHead)
    missed = [counts.get(module.__name__, {}) for module in functional]
    return sum(part.get(operator, 0) for part in missed for operator in ELEMENTWISE)


def put_published_layers(*modules: nn.Module) -> None:
    """Exchange predictors for the layers that the published code has in their place.

    A plain mask predictor computes there the masks of all classes, here that of the wanted one.
    """
    for parent in [each for module in modules for each in module.modules()]:
        for name, child in parent.named_children():
            if isinstance(child, NormalisedLinear | NormalisedMaskPredictor):
                setattr(parent, name, _Unknown(len(child.weight)))
            elif isinstance(child, PlainMaskPredictor):
                classes, channels = child.weight.shape[:2]
                setattr(parent, name, _MasksOfAllClasses(channels, classes, 1, device="meta"))


class _Unknown(nn.Module):
    """A layer that the published counter does not know: its output without any work."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, features: Tensor, labels: Tensor | None = None) -> Tensor:
        if labels is None:
            return features.new_empty(len(features), self.outputs)
        return features[:, 0]  # the mask of one class


class _MasksOfAllClasses(nn.Conv2d):
    """A 1×1 convolution to a mask of every class, of which one is taken."""

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(features)[:, 0]


# FlopCounterMode's unit is half a multiply-add; its formulas are given shapes.
def _convolution(
    x: Shape, weight: Shape, bias: Shape | None, stride: Any, padding: Any, dilation: Any,
    transposed: bool, *_: Any, out_shape: Shape,
) -> int:  # fmt: skip
    biases = 0 if bias is None else math.prod(out_shape)
    products = conv_flop_count(list(x), list(weight), list(out_shape), transposed)
    return products + 2 * biases


def _once(x: Shape, *_: Any, **__: Any) -> int:
    return 2 * math.prod(x)


def _twice(x: Shape, *_: Any, **__: Any) -> int:
    return 4 * math.prod(x)


ELEMENTWISE: dict[Any, Callable[..., int]] = {
    aten.relu: _once,
    aten.relu_: _once,
    aten.hardtanh: _once,  # ReLU6
    aten.hardtanh_: _once,
    aten.max_pool2d_with_indices: _once,
    # what a batch norm becomes depends on the version of PyTorch
    aten.native_batch_norm: _twice,
    aten._native_batch_norm_legit: _twice,
}
"""Operators that the published counter counts besides products, with their formulas."""
