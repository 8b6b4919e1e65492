"""Folded batch norms of a backbone's stages, kept from step to step where nothing learns."""

from collections.abc import Sequence

import torch
from torch import Tensor

from bacl.detectors.folded_weights import precision_of
from bacl.detectors.folding import FoldedNorms, Pair, sources

Fingerprint = tuple[tuple[object, ...], ...]
"""Where tensors lie in memory, and how often they were written."""


class KeptFolds:
    """What each stage's convolutions are folded to, made anew only when something was written.

    A frozen stage costs its folding once, and from then on the memory of its folded weights. What
    learns is folded in each step: torch does not count what fused optimisers write, nor what is
    written to `.data`.
    """

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Fingerprint, Sequence[Tensor], FoldedNorms]] = {}

    def of(self, stage: int, pairs: Sequence[Pair]) -> FoldedNorms:
        """The convolutions of stage `stage` as their weights and statistics are now."""
        tensors = sources(pairs)
        if any(tensor.requires_grad or tensor.is_inference() for tensor in tensors):
            self._kept.pop(stage, None)
            return FoldedNorms(pairs)
        now = _fingerprint(tensors, pairs)
        if stage not in self._kept or self._kept[stage][0] != now:
            self._kept[stage] = now, [tensor.detach() for tensor in tensors], _folded(pairs)
        return self._kept[stage][2]

    def __deepcopy__(self, memo: dict[int, object]) -> "KeptFolds":
        """None are kept for a copy, nor for a model in another process: they are quickly made."""
        return KeptFolds()

    def __reduce__(self) -> tuple[type["KeptFolds"], tuple[()]]:
        return KeptFolds, ()


def _fingerprint(tensors: Sequence[Tensor], pairs: Sequence[Pair]) -> Fingerprint:
    """Equal where what is folded is equal; of tensors whose memory is held meanwhile."""
    precision = tuple(precision_of(tensor) for tensor in tensors[:1])  # under autocast, another
    fixed = tuple((norm.training, norm.eps) for _, norm in pairs)
    written = ((tensor.data_ptr(), tensor._version, tensor.dtype) for tensor in tensors)
    return (precision, fixed, *written)


@torch.inference_mode(False)
@torch.no_grad()
def _folded(pairs: Sequence[Pair]) -> FoldedNorms:
    """Of tensors that a training step, too, may work with."""
    return FoldedNorms(pairs)
