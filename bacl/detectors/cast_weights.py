"""Weights that autocast would cast one by one, cast all at once.

Autocast casts weight and bias of each layer by an operator of its own, and their gradients back by
another. Over a list of tensors both are one. What is computed is the same, to the bit.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import Function, once_differentiable
from torch.func import functional_call

from bacl.detectors.full_precision import casts
from bacl.detectors.low_rank import LowRankLinear

Tensors = list[Tensor] | tuple[Tensor, ...]
Fingerprint = tuple[object, ...]
_OWN = ("weight", "bias")
LAYERS: dict[type[nn.Module], tuple[str, ...]] = {
    nn.Conv2d: _OWN,
    nn.ConvTranspose2d: _OWN,
    nn.Linear: _OWN,
    LowRankLinear: ("frozen", "bias", "a", "b"),
}
"""Layers that autocast casts weights of, and which; not those derived of them, which may read them
too, nor what weight norm, say, makes a layer's weight of in float32."""

_MADE: ContextVar[dict[int, dict[str, Tensor]] | None] = ContextVar("made", default=None)
"""Weights of modules, where they are cast once for several calls; each thread has its own."""


class CastWeights:
    """Modules whose weights are cast at once, and kept from step to step where they do not learn.

    What is frozen costs its cast once, and from then on the memory of its cast weights, until torch
    counts that it is written: not through `.data` or NumPy. Nor does it count what fused optimisers
    write: what learns is cast in each step.
    """

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Fingerprint, list[Tensor], dict[str, Tensor]]] = {}

    def call(self, module: nn.Module, *inputs: Any, but: Collection[nn.Module] = ()) -> Any:
        """`module(*inputs)`, under autocast with its weights cast at once; see `of`."""
        return call_with(module, self.of(module, but), *inputs)

    def of(self, module: nn.Module, but: Collection[nn.Module] = ()) -> dict[str, Tensor]:
        """Cast weights of a module's layers by name; none where autocast is off.

        Args:
            module: whose layers compute with weights in one precision.
            but: layers whose weights the module casts itself.
        """
        made = _MADE.get()
        if made is None:
            return self._made(module, but)
        if id(module) not in made:
            made[id(module)] = self._made(module, but)
        return made[id(module)]

    def _made(self, module: nn.Module, but: Collection[nn.Module]) -> dict[str, Tensor]:
        weights = _weights(module, but)
        learn = {name: each for name, each in weights.items() if _changes(each)}
        stay = {name: each for name, each in weights.items() if name not in learn}
        made = self._constant(module, stay)
        # One that several layers share is cast once: their gradients are summed before the cast.
        distinct = dict.fromkeys(learn.values())
        if learn:
            cast = cast_for_step([*distinct], _precision(learn))
            of_each = dict(zip(distinct, cast, strict=True))
            made |= {name: of_each[each] for name, each in learn.items()}
        return made

    def _constant(self, module: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """A copy of what is kept of the module, made anew if something was written."""
        if not weights:
            self._kept.pop(id(module), None)
            return {}
        precision = _precision(weights)
        state: Fingerprint = (precision, *weights)
        state += tuple((each.data_ptr(), each._version) for each in weights.values())
        if id(module) not in self._kept or self._kept[id(module)][0] != state:
            self._kept[id(module)] = state, [*weights.values()], _for_good(weights, precision)
        return dict(self._kept[id(module)][2])

    def __deepcopy__(self, memo: dict[int, object]) -> "CastWeights":
        """None are kept for a copy, nor for a model in another process: they are quickly made."""
        return CastWeights()

    def __reduce__(self) -> tuple[type["CastWeights"], tuple[()]]:
        return CastWeights, ()


@contextmanager
def cast_once() -> Iterator[None]:
    """Within it a module's weights are cast once, however often it is called.

    Their gradients are summed before they are cast back, as with autocast's own casts.
    """
    token = _MADE.set({})
    try:
        yield
    finally:
        _MADE.reset(token)


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
    """Tensors of one type in another precision, by one operator; gradients come back by one."""
    return tuple(_Cast.apply(precision, *tensors))


def precise(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    """Tensors of one type in float32 at least, by one operator; gradients come back by one."""
    precision = torch.promote_types(tensors[0].dtype, torch.float32)
    return tensors if precision == tensors[0].dtype else cast_for_step(tensors, precision)


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


def _weights(module: nn.Module, but: Collection[nn.Module]) -> dict[str, Tensor]:
    """Float32 weights and biases of a module's layers by name, if autocast is on for them."""
    first = next(module.parameters(), None)
    if first is None or not casts(first.device):
        return {}
    own = set(but)
    return {
        f"{name}.{part}" if name else part: parameter
        for name, layer in module.named_modules()
        if layer not in own
        for part in LAYERS.get(type(layer), ())
        if (parameter := layer._parameters.get(part)) is not None
        and parameter.dtype == torch.float32
    }


def _precision(weights: dict[str, Tensor]) -> torch.dtype:
    """What autocast casts weights to, where they lie."""
    return torch.get_autocast_dtype(next(iter(weights.values())).device.type)


def _changes(weight: Tensor) -> bool:
    """Whether a weight may be written without torch's counting it."""
    return weight.requires_grad or weight.is_inference()


@torch.inference_mode(False)
@torch.no_grad()
def _for_good(weights: dict[str, Tensor], precision: torch.dtype) -> dict[str, Tensor]:
    """Tensors that a training step, too, may work with."""
    return dict(zip(weights, cast_together([*weights.values()], precision), strict=True))
