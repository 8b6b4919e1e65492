"""Weights that autocast would cast one by one, cast all at once.

Autocast casts weight and bias of each layer by an operator of its own, and their gradients back by
another. Over a list of tensors both are one. What is computed is the same, to the bit.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import Function, once_differentiable
from torch.func import functional_call

from bacl.detectors.full_precision import casts

Tensors = list[Tensor] | tuple[Tensor, ...]
Fingerprint = tuple[object, ...]
LAYERS = (nn.Conv2d, nn.Linear)
"""Layers that autocast casts weights of; not those derived of them, which may read them too."""


class CastWeights:
    """Modules whose weights are cast at once, and kept from step to step where they do not learn.

    A frozen module costs its cast once, and from then on the memory of its cast weights. Torch does
    not count what fused optimisers write: what learns is cast in each step.
    """

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Fingerprint, list[Tensor], dict[str, Tensor]]] = {}

    def call(self, module: nn.Module, *inputs: Any) -> Any:
        """`module(*inputs)`, under autocast with its weights cast at once."""
        return call_with(module, self.of(module), *inputs)

    def of(self, module: nn.Module) -> dict[str, Tensor]:
        """Cast weights of a module's layers by name; none where autocast is off."""
        weights = _weights(module)
        if not weights:
            return {}
        precision = torch.get_autocast_dtype(next(iter(weights.values())).device.type)
        if any(each.requires_grad or each.is_inference() for each in weights.values()):
            self._kept.pop(id(module), None)
            return dict(zip(weights, cast_for_step([*weights.values()], precision), strict=True))
        state: Fingerprint = (precision, *weights)
        state += tuple((each.data_ptr(), each._version) for each in weights.values())
        if id(module) not in self._kept or self._kept[id(module)][0] != state:
            self._kept[id(module)] = state, [*weights.values()], _for_good(weights, precision)
        return self._kept[id(module)][2]

    def __deepcopy__(self, memo: dict[int, object]) -> "CastWeights":
        """None are kept for a copy, nor for a model in another process: they are quickly made."""
        return CastWeights()

    def __reduce__(self) -> tuple[type["CastWeights"], tuple[()]]:
        return CastWeights, ()


def call_with(module: nn.Module, weights: dict[str, Tensor], *inputs: Any) -> Any:
    """`module(*inputs)` with these in place of the weights of their names."""
    if not weights:
        return module(*inputs)
    return functional_call(module, weights, inputs, tie_weights=False)


def in_step(*weights: Tensor) -> Tensors:
    """A layer's weights as it computes with them: under autocast, cast at once."""
    first = weights[0]
    if not casts(first.device) or first.dtype != torch.float32:
        return weights
    return cast_for_step(weights, torch.get_autocast_dtype(first.device.type))


def cast_for_step(tensors: Sequence[Tensor], precision: torch.dtype) -> Tensors:
    """Float32 tensors in another precision, by one operator; gradients come back by one, too."""
    return tuple(_Cast.apply(precision, *tensors))


def cast_together(tensors: Tensors, precision: torch.dtype) -> Tensors:
    """Tensors of one type in another, without gradient; the tensors themselves if they have it."""
    if tensors[0].dtype == precision:
        return tensors
    cast = [torch.empty_like(tensor, dtype=precision) for tensor in tensors]
    torch._foreach_copy_(cast, tensors)
    return cast


class _Cast(Function):
    """What gets no gradient passes none on, as without a cast."""

    @staticmethod
    def forward(ctx: Any, precision: torch.dtype, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.precision = tensors[0].dtype
        return (*cast_together(tensors, precision),)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        there = [gradient for gradient in gradients if gradient is not None]
        back = iter(cast_together(there, ctx.precision) if there else ())
        return None, *(None if gradient is None else next(back) for gradient in gradients)


def _weights(module: nn.Module) -> dict[str, Tensor]:
    """Float32 weights and biases of a module's layers by name, if autocast is on for them."""
    return {
        f"{name}.{own}" if name else own: parameter
        for name, layer in module.named_modules()
        if type(layer) in LAYERS
        for own, parameter in layer.named_parameters(recurse=False)
        if parameter.dtype == torch.float32 and casts(parameter.device)
    }


@torch.inference_mode(False)
@torch.no_grad()
def _for_good(weights: dict[str, Tensor], precision: torch.dtype) -> dict[str, Tensor]:
    """Tensors that a training step, too, may work with."""
    return dict(zip(weights, cast_together([*weights.values()], precision), strict=True))
