"""Parameters and multiply-adds of a detector with a classifier (FLOPs and Params of Tab. XI)."""

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from bacl.detectors.fpn import FeaturePyramid
from bacl.detectors.region_detector import RegionDetector
from bacl.detectors.rpn_head import RPNHead
from bacl.heads import Head

aten = torch.ops.aten
AnyModule = TypeVar("AnyModule", bound=nn.Module)
Shape = tuple[int, ...]
Counts = Mapping[str, Mapping[Any, int]]
"""Operations by module, and by operator within the module."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Numbers of parameters; statistics such as prototypes and batch norms' are none."""

    total: int
    """All of them."""
    learnable: int
    """Those with a gradient. As a detector is built, without the frozen first stage of its
    backbone, these are the "Params" of Tab. XI."""


@dataclass(frozen=True, slots=True)
class MultiplyAdds:
    """Multiply-adds of one image."""

    published: int
    """As Tab. XI counts its FLOPs, see `count_multiply_adds`."""
    extractor: int
    """Products of backbone and pyramid's convolutions."""
    rois: int
    """Products of proposals, RoI features, boxes and classifier."""

    @property
    def products(self) -> int:
        """Products of all convolutions and matrices: what does the work."""
        return self.extractor + self.rois


def count_parameters(*modules: nn.Module) -> Parameters:
    """Parameters of several modules, those that they share counted once."""
    parameters = {id(p): p for module in modules for p in module.parameters()}.values()
    learnable = (p.numel() for p in parameters if p.requires_grad)
    return Parameters(sum(p.numel() for p in parameters), sum(learnable))


def count_multiply_adds(
    detector: RegionDetector, head: Head, size: tuple[int, int], num_rois: int
) -> MultiplyAdds:
    """Multiply-adds of an image (3, *size), counted on the meta device: no value is computed.

    `published` follows the counter of the published code (mmcv's), which adds to the products of
    convolutions and linear layers one for every value that a convolution's bias, a ReLU or a
    max-pooling (its input) touches and two for a batch norm's; biases of linear layers are free.
    That counter watches layers and therefore misses functions: the ReLU of the RPN, the pooling
    and the sums of the pyramid, RoIAlign, decoding and suppression.

    Args:
        detector: stays as it is.
        head: classifies the RoI features; stays as it is, too.
        size: height and width of the image; the paper's figures are without padding.
        num_rois: proposals that are classified; the paper: 1000.
    """
    detector, head = _on_meta(detector), _on_meta(head)
    for module in detector.modules():
        if isinstance(module, _BatchNorm):
            module.train()  # an operation of its own, not folded into the convolution before it
    pyramid: tuple[Tensor, ...] = ()

    def extract() -> None:
        nonlocal pyramid
        pyramid = detector.pyramid(torch.empty(1, 3, *size, device="meta"))

    def classify() -> None:
        head.scores(detector.run_layers(pyramid, num_rois))

    extractor, extractor_published = _counted(extract)
    rois, rois_published = _counted(classify)
    return MultiplyAdds(extractor_published + rois_published, extractor, rois)


def _on_meta(module: AnyModule) -> AnyModule:
    return copy.deepcopy(module).to("meta")


def _counted(work: Callable[[], None]) -> tuple[int, int]:
    """Multiply-adds of the products alone, and by the published counter."""
    with torch.no_grad(), FlopCounterMode(display=False) as products:
        work()
    formulas = {aten.convolution: _convolution} | ELEMENTWISE
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=formulas) as published:
        work()
    unseen = _elementwise(published.get_flop_counts())
    return products.get_total_flops() // 2, (published.get_total_flops() - unseen) // 2


def _elementwise(counts: Counts) -> int:
    """Operations that the published counter misses, because no layer stands for them."""
    functional: Iterable[type[nn.Module]] = (FeaturePyramid, RPNHead)
    missed = [counts.get(module.__name__, {}) for module in functional]
    return sum(part.get(operator, 0) for part in missed for operator in ELEMENTWISE)


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
