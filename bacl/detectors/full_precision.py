"""What is computed in float32 under autocast, too: the last layers, whose results are judged.

Rounding of a last layer's weights and bias is no noise: it is the same for all rows, and shifts
every logit of a class alike. Gradients were off by it on average, too (docs/results.md).
"""

from collections.abc import Callable

import torch
from torch import Tensor


def in_float32(values: Tensor) -> Tensor:
    """Half precision as float32; float32 and float64 as they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def casts(device: torch.device) -> bool:
    """Whether autocast is on for a device."""
    kind = device.type
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)


def precisely(function: Callable[..., Tensor], *values: Tensor) -> Tensor:
    """`function(*values)`, computed in float32 at least.

    Args:
        function: of tensors, by parameters that are float32 or float64.
        values: of any type; whole numbers stay as they are.
    """
    precise = [in_float32(value) if value.is_floating_point() else value for value in values]
    if not casts(precise[0].device):
        return function(*precise)
    with torch.autocast(precise[0].device.type, enabled=False):
        return function(*precise)
