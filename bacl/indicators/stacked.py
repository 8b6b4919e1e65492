"""What heads that are computed together lay on each other. H: these heads."""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor


def stacked(parts: Sequence[Tensor]) -> Tensor:
    """(H, …) of H tensors of one shape; of a single one without a copy."""
    return parts[0].unsqueeze(0) if len(parts) == 1 else torch.stack(list(parts))


def constants(values: Sequence[float], like: Tensor) -> float | Tensor:
    """Numbers of H heads, to be calculated with beside (H, ·, ·): one number where all are equal.

    Otherwise (H, 1, 1) of the type and on the device of `like`.
    """
    if len(set(values)) == 1:
        return values[0]
    return _on_device(tuple(values), like.dtype, like.device)


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # a training step may ask for it, too
def numbers(count: int, device: torch.device) -> Tensor:
    """0, 1, … (count,) int64, made once."""
    return torch.arange(count, device=device)


@lru_cache(maxsize=64)  # a fresh tensor would be copied to the GPU in each step: the host waits
@torch.inference_mode(False)
def _on_device(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=dtype, device=device).view(-1, 1, 1)
