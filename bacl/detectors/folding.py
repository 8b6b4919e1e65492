"""Batch norms with fixed statistics, folded into the convolutions before them.

Such a norm is a scale and a shift per channel, which in the convolution's weights cost no pass over
the feature map, forward or backward, and no copy of it for the gradient.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bacl.detectors.folded_weights import folded_weights

Convolve = Callable[[Tensor, nn.Conv2d, nn.Module], Tensor]
"""A feature map through a convolution and the norm behind it."""
Pair = tuple[nn.Conv2d, nn.BatchNorm2d]
GAIN_AND_SHIFT, STATISTICS = ("weight", "bias"), ("running_mean", "running_var")


def one_by_one(x: Tensor, conv: nn.Conv2d, norm: nn.Module) -> Tensor:
    """`norm(conv(x))` as it stands."""
    return norm(conv(x))


class FoldedNorms:
    """Convolutions, with every batch norm folded in that has fixed statistics.

    Values and gradients (of convolutions, norms and feature maps) are those of `one_by_one`. All
    are folded at once, by a few operators over lists, since a GPU waits for each operator of a step
    to be started. They stand for as long as no weight changes.
    """

    def __init__(self, pairs: Iterable[Pair]) -> None:
        """Fold as weights and statistics are now."""
        fixed = [(conv, norm) for conv, norm in pairs if not norm.training]
        self._folded: dict[tuple[nn.Module, nn.Module], tuple[Tensor, Tensor]]
        self._folded = dict(zip(fixed, _fold(fixed), strict=True))

    def __call__(self, x: Tensor, conv: nn.Conv2d, norm: nn.Module) -> Tensor:
        """`norm(conv(x))`, in one convolution where they are folded."""
        folded = self._folded.get((conv, norm))
        if folded is None:
            return one_by_one(x, conv, norm)
        return F.conv2d(x, *folded, conv.stride, conv.padding, conv.dilation, conv.groups)


def with_norms(modules: Iterable[nn.Module]) -> list[Pair]:
    """Convolutions without a bias whose next module is a batch norm."""
    every = [part for module in modules for part in module.modules()]
    return [
        (conv, norm)
        for conv, norm in pairwise(every)
        if isinstance(conv, nn.Conv2d) and conv.bias is None and isinstance(norm, nn.BatchNorm2d)
    ]


@torch.no_grad()
def fold_for_good(module: nn.Module, pairs: Sequence[Pair]) -> None:
    """Exchange convolutions' weights for folded ones, and the norms of the module for nothing.

    For programs that only detect: without its norms it is no longer what was trained.
    """
    for (conv, _), folded in zip(pairs, _fold(pairs), strict=True):
        conv.weight, conv.bias = (nn.Parameter(part, requires_grad=False) for part in folded)
    norms = {norm for _, norm in pairs}
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if child in norms:
                setattr(parent, name, nn.Identity())


def sources(pairs: Sequence[Pair]) -> list[Tensor]:
    """Of N pairs: N weights, gains, shifts, means and variances, what `folded_weights` takes."""
    convs = [conv.weight for conv, _ in pairs]
    gains, shifts = ([norm.get_parameter(name) for _, norm in pairs] for name in GAIN_AND_SHIFT)
    means, variances = ([norm.get_buffer(name) for _, norm in pairs] for name in STATISTICS)
    return [*convs, *gains, *shifts, *means, *variances]


def _fold(pairs: Sequence[Pair]) -> list[tuple[Tensor, Tensor]]:
    """Weights and bias of a convolution that does what each pair does."""
    if not pairs:
        return []
    tensors, count = sources(pairs), len(pairs)
    weights, gains, shifts, means, variances = (
        tensors[start : start + count] for start in range(0, len(tensors), count)
    )
    return folded_weights(weights, gains, shifts, means, variances, [norm.eps for _, norm in pairs])
