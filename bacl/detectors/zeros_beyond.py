"""Zeros beyond pictures that lie on a larger canvas, as if the canvas ended with the picture.

A convolution pads its input with zeros. Of a picture on a larger canvas it would read, at the lower
and the right border, what the layers before have made of the canvas instead: a bias is no zero.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class ZerosBeyond:
    """Lets each convolution of a module read zeros beyond the pictures, while `of` is entered.

    No other layer of the module may mix positions, but for poolings of two by two or with a stride
    of two, which read nothing beyond an even side.

    Args:
        module: of which convolutions are hooked.
    """

    def __init__(self, module: nn.Module) -> None:
        self._canvas = (0, 0)
        self._extent: Tensor | None = None
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d) and _looks_beyond(layer):
                layer.register_forward_pre_hook(self._cleared)

    @contextmanager
    def of(self, images: Tensor, extent: Tensor) -> Iterator[None]:
        """For images (B, 3, H, W) whose pictures end at `extent` (2,) int64."""
        self._canvas, self._extent = (images.shape[2], images.shape[3]), extent
        try:
            yield
        finally:
            self._extent = None

    def _cleared(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (x,) = inputs
        if self._extent is None or tuple(x.shape[2:]) == self._canvas:  # the images themselves
            return inputs
        rows, columns = (self._inside(axis, x) for axis in (0, 1))
        return (torch.where(rows.unsqueeze(1) & columns, x, x.new_zeros(())),)

    def _inside(self, axis: int, x: Tensor) -> Tensor:
        """Which rows, or columns, of a feature map lie on the pictures, (·,) bool."""
        assert self._extent is not None
        length = x.shape[2 + axis]
        first = torch.arange(length, device=x.device) * (self._canvas[axis] // length)
        return first < self._extent[axis]


def _looks_beyond(layer: nn.Conv2d) -> bool:
    """Whether its last position reads what lies behind the last one of an input of even sides."""
    sizes = zip(layer.kernel_size, layer.dilation, _padding(layer), layer.stride, strict=True)
    return any((kernel - 1) * step - before >= stride for kernel, step, before, stride in sizes)


def _padding(layer: nn.Conv2d) -> tuple[int, ...]:
    if isinstance(layer.padding, str):
        same = layer.padding == "same"
        pairs = zip(layer.kernel_size, layer.dilation, strict=True)
        return tuple((kernel - 1) * step // 2 if same else 0 for kernel, step in pairs)
    return layer.padding
