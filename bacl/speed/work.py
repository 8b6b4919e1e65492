"""Parameters and multiply-adds of a detector with a classifier (FLOPs and Params of Tab. XI)."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.flop_counter import FlopCounterMode

from bacl.detectors.region_detector import RegionDetector
from bacl.heads import Head
from bacl.speed.published_counter import count_as_published, put_published_layers

AnyModule = TypeVar("AnyModule", bound=nn.Module)


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

    `published` is what the published counter finds in the layers that published code has, see
    `bacl.speed.published_counter`; products are those that are computed here.

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

    extractor, rois = _products(extract), _products(classify)
    put_published_layers(detector, head)
    return MultiplyAdds(count_as_published(extract) + count_as_published(classify), extractor, rois)


def _on_meta(module: AnyModule) -> AnyModule:
    return copy.deepcopy(module).to("meta")


def _products(work: Callable[[], None]) -> int:
    """Multiply-adds of convolutions and matrices."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() // 2
