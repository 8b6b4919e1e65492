"""LoRA (Hu et al., ICLR 2022): weights stay, and a product of two narrow matrices is added."""

import math
import re
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bacl.detectors.adaptation import Adaptation
from bacl.messages.errors import OptionError
from bacl.options.ranges import Positive, Width

_ATTENTION = re.compile(r"(^|\.)attn\.(qkv|q_proj|k_proj|v_proj|proj)$")
"""The linear layers of attention, as timm names them."""


class LowRankLinear(nn.Module):
    """A linear layer whose weight is W + (alpha / rank) · B A: A is (rank, I), B (O, rank).

    W (O, I) and the bias stay. A begins as a linear layer's weight and B at zero, so that nothing
    changes before the first step. `weight` is the sum: some of timm's layers read it themselves.

    Args:
        linear: the layer; its parameters are taken over and frozen.
        rank: of the product.
        alpha: its factor, times `rank`.
    """

    def __init__(self, linear: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.frozen = linear.weight.requires_grad_(False)
        self.bias = None if linear.bias is None else linear.bias.requires_grad_(False)
        self.a = nn.Parameter(self.frozen.new_empty(rank, linear.in_features))
        self.b = nn.Parameter(self.frozen.new_zeros(linear.out_features, rank))
        self.factor = alpha / rank
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    @property
    def weight(self) -> Tensor:
        """(O, I), what is computed with."""
        return torch.addmm(self.frozen, self.b, self.a, alpha=self.factor)

    def forward(self, x: Tensor) -> Tensor:
        """(…, O) of (…, I)."""
        return F.linear(x, self.weight, self.bias)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """A linear layer that does the same."""
        outputs, inputs = self.frozen.shape
        linear = nn.Linear(inputs, outputs, device="meta")
        linear.weight = nn.Parameter(self.weight, requires_grad=False)
        linear.bias = self.bias  # type: ignore[assignment]
        return linear


class LowRank(Adaptation):
    """The transformer is frozen but for a low-rank update of every attention layer's weights.

    Those of queries, keys and values (one update, where they are one weight) and of the projection
    after them. A checkpoint holds updates beside frozen weights, a program that only detects their
    sum.

    Args:
        rank: of the updates.
        alpha: `alpha / rank` is the factor of an update.
    """

    def __init__(self, rank: Width, alpha: Positive) -> None:
        self.rank = rank
        self.alpha = alpha

    def adapt(self, model: nn.Module) -> None:
        """Freeze all, and add an update to every attention layer.

        Raises:
            OptionError: the model has no such layer, or one that is narrower than `rank`.
        """
        model.requires_grad_(False)
        layers = [each for name, each in model.named_modules() if _ATTENTION.search(name)]
        linear = [each for each in layers if isinstance(each, nn.Linear)]
        if not linear:
            raise OptionError(f"LoRA: a {type(model).__name__} has no attention layers to adapt")
        narrowest = min(min(layer.weight.shape) for layer in linear)
        if self.rank > narrowest:
            raise OptionError(f"LoRA: rank={self.rank}, but a layer is {narrowest} wide")
        _replace(model, nn.Linear, lambda layer: LowRankLinear(layer, self.rank, self.alpha))

    def merge(self, model: nn.Module) -> None:
        """Put a linear layer in the place of every updated one."""
        _replace(model, LowRankLinear, LowRankLinear.merged)


def _replace(model: nn.Module, kind: type[nn.Module], make: Callable[..., nn.Module]) -> None:
    """Exchange the attention layers of a kind for what is made of them."""
    for name, module in list(model.named_modules()):
        if isinstance(module, kind) and _ATTENTION.search(name):
            parent, _, own = name.rpartition(".")
            setattr(model.get_submodule(parent), own, make(module))
