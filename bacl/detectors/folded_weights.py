"""Weights of many convolutions with batch norms folded in, by operators over lists.

The number of operators, forward and backward, does not grow with the number of convolutions, but
for one sum of each in the backward pass and, before torch 2.8, one root of each. N: convolutions;
O, I: their channels out and in.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function, once_differentiable

from bacl.detectors.cast_weights import Tensors, cast_together
from bacl.detectors.full_precision import casts


def folded_weights(
    weights: Tensors,
    gains: Tensors,
    shifts: Tensors,
    means: Tensors,
    variances: Tensors,
    eps: Sequence[float],
) -> list[tuple[Tensor, Tensor]]:
    """Weight w · s and bias b - m · s of each, where s = g / √(v + ε).

    In the precision that a convolution computes in: under autocast all are cast at once.

    Args:
        weights: N tensors w (O, I, H, W), on one device and of one type of number, as all others.
        gains: N tensors g (O,), the norms' weights.
        shifts: N tensors b (O,), the norms' biases.
        means: N tensors m (O,), without gradient.
        variances: N tensors v (O,), without gradient.
        eps: N numbers ε.
    """
    precision = precision_of(weights[0])
    folded = _Fold.apply(precision, means, variances, eps, *weights, *gains, *shifts)
    return list(zip(*_parts(folded, 2), strict=True))


def precision_of(weight: Tensor) -> torch.dtype:
    """The type of number that a convolution casts its weights to."""
    if not casts(weight.device) or weight.dtype == torch.float64:
        return weight.dtype
    return torch.get_autocast_dtype(weight.device.type)


class _Fold(Function):
    """`folded_weights`: from the N w, g and b to the N weights and the N biases."""

    @staticmethod
    def forward(
        ctx: Any,
        precision: torch.dtype,
        means: Tensors,
        variances: Tensors,
        eps: Sequence[float],
        *parameters: Tensor,
    ) -> tuple[Tensor, ...]:
        weights, gains, shifts = _parts(parameters, 3)
        inverse = torch._foreach_add(variances, eps)
        _rsqrt_(inverse)
        scales = torch._foreach_mul(gains, inverse)
        biases = torch._foreach_sub(shifts, torch._foreach_mul(means, scales))
        columns = [scale.view(-1, 1, 1, 1) for scale in scales]
        ctx.save_for_backward(*weights, *columns, *inverse, *means)
        return (*cast_together([*torch._foreach_mul(weights, columns), *biases], precision),)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        weights, columns, inverse, means = _parts(ctx.saved_tensors, 4)
        of_weights, of_biases = _parts(cast_together(gradients, weights[0].dtype), 2)
        learn_weights, learn_gains, _ = map(any, _parts(ctx.needs_input_grad[4:], 3))
        to_weights = torch._foreach_mul(of_weights, columns) if learn_weights else ()
        to_gains: Tensors = ()
        if learn_gains:
            products = torch._foreach_mul(of_weights, weights)
            to_gains = [product.sum((1, 2, 3)) for product in products]
            torch._foreach_sub_(to_gains, torch._foreach_mul(of_biases, means))
            torch._foreach_mul_(to_gains, inverse)
        frozen = (None,) * len(weights)
        return None, None, None, None, *(to_weights or frozen), *(to_gains or frozen), *of_biases


def _rsqrt_(tensors: Tensors) -> None:
    if hasattr(torch, "_foreach_rsqrt_"):  # not before torch 2.8
        torch._foreach_rsqrt_(tensors)
    else:
        for tensor in tensors:
            tensor.rsqrt_()


def _parts(values: Sequence[Any], count: int) -> list[Any]:
    """So many parts of equal length."""
    size = len(values) // count
    return [values[start : start + size] for start in range(0, len(values), size)]
