"""What classifier heads hold in memory beside their detector.

C: foreground classes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from bacl.heads import Head
from bacl.indicators import ConfusionMatrix

COPIES = 3
"""Of a weight that trains: itself, its gradient and its momentum."""
LARGE = 500_000_000
"""Bytes of one matrix from which on there is something to say."""


@dataclass(frozen=True, slots=True)
class HeadMemory:
    """Bytes of one head; what a step computes comes on top."""

    weights: int
    """Of its parameters."""
    statistics: int
    """Of its buffers: indicators, prototypes, counts. A checkpoint holds both once."""
    training: int
    """Of a training with momentum."""

    @classmethod
    def of(cls, head: Head) -> "HeadMemory":
        """Of a head, with numbers in it or without (on the meta device)."""
        weights, buffers = _bytes(head.parameters()), _bytes(head.buffers())
        trained = _bytes(each for each in head.parameters() if each.requires_grad)
        return cls(weights, buffers, weights + (COPIES - 1) * trained + buffers)


def large_matrices(heads: Mapping[str, Head]) -> list[str]:
    """The heads that learn by a whole confusion matrix that is `LARGE`."""
    return [
        name
        for name, head in heads.items()
        if any(isinstance(each, ConfusionMatrix) and _held(each) > LARGE for each in head.modules())
    ]


def _held(module: nn.Module) -> int:
    return _bytes(module.buffers(recurse=False))


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(each.numel() * each.element_size() for each in tensors)
