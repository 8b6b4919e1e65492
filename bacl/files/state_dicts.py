"""Whether what a file holds can be a module's tensors."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bacl.messages.shown import shown

CONVERTIBLE = (
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
)
"""Numbers of other projects' files."""
LOOKED_AT = 2**24
"""Numbers of a tensor that are looked at together."""
NEVER_NEGATIVE = ("running_var", "variances")
"""Ends of names of floating-point statistics whose square root is taken."""


def misfits(module: nn.Module, state: Mapping[str, Any]) -> list[str]:
    """What keeps a state dict from being a module's, by name: all of it must be as the module's."""
    own = module.state_dict()
    problems = [f"missing {key}" for key in own if key not in state]
    problems += [f"unexpected {shown(key)}" for key in state if key not in own]
    compared = {key: _misfit(state[key], own[key], key) for key in own if key in state}
    return problems + [f"{key} {problem}" for key, problem in compared.items() if problem]


def several(problems: Sequence[str]) -> str:
    """The first of them, in a line."""
    more = f"; and {len(problems) - 8} more" if len(problems) > 8 else ""
    return "; ".join(problems[:8]) + more


def unusable(value: Any, own: Tensor, name: str, converts: bool = False) -> str | None:
    """Why a value cannot become the tensor `own` of a module; None if it can.

    Shapes and kinds are compared before any number is looked at: what a file declares need not fit
    into memory.

    Args:
        value: anything that a file holds.
        own: the module's; its integers are counts.
        name: of the tensor, which tells statistics that are never negative.
        converts: whether other kinds of numbers will do that `own` holds without loss, as counts
            that were written as floating-point numbers; never integers in place of weights.
    """
    if problem := no_plain_tensor(value):
        return problem
    if value.shape != own.shape:
        return f"is {tuple(value.shape)}, expected {tuple(own.shape)}"
    if value.dtype != own.dtype and not (converts and _convertible(value, own)):
        return f"is {_short(value.dtype)}, expected {_short(own.dtype)}"
    return _bad_numbers(value, own, name)


def _misfit(value: Any, own: Any, name: str) -> str | None:
    """What keeps a part of a state dict from being the module's, a tensor or what a module adds."""
    if isinstance(own, Tensor):
        return unusable(value, own, name)
    counts = isinstance(value, dict) and value.keys() == own.keys()
    if counts and all(type(each) is int and each >= 0 for each in value.values()):
        return None
    return f"is none of {' and '.join(own)}, counted from 0"


def not_finite(value: Tensor) -> str | None:
    """That a tensor holds a number that is none."""
    if value.dtype not in CONVERTIBLE:
        return None
    # A part at a time: of a large tensor, what is compared on the way is more than the tensor.
    parts = value.reshape(-1).split(LOOKED_AT)
    return None if all(bool(part.isfinite().all()) for part in parts) else "holds NaN or infinity"


def no_plain_tensor(value: Any) -> str | None:
    """Why a value is no tensor with a number of its own for each element; None if it is one."""
    if not isinstance(value, Tensor):
        return f"is no tensor ({type(value).__name__})"
    if value.is_quantized or value.is_nested or value.layout != torch.strided:
        return "is no plain tensor (sparse, nested or quantised)"
    if value.device.type != "cpu":
        return "has no values"
    # An expanded tensor repeats a value, or a few, as often as its file says.
    expanded = value.numel() * value.element_size() > value.untyped_storage().nbytes()
    return "declares more values than the file holds" if expanded else None


def _convertible(value: Tensor, own: Tensor) -> bool:
    weights = own.is_floating_point()
    return value.dtype in CONVERTIBLE and (value.is_floating_point() or not weights)


def _bad_numbers(value: Tensor, own: Tensor, name: str) -> str | None:
    if problem := not_finite(value):
        return problem
    if not torch.equal(value.to(own.dtype).to(value.dtype), value):
        return f"holds values that are no {_short(own.dtype)}"
    counts = not own.is_floating_point()
    if (
        (counts or name.endswith(NEVER_NEGATIVE))
        and value.dtype != torch.bool
        and (value < 0).any()
    ):
        return "holds negative counts" if counts else "holds negative variances"
    return None


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
