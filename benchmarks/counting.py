"""What a step asks of a device, counted without one: operators, and waits of the host.

The host waits where it needs a number from the device: the size of a result that depends on values,
a value itself, or a copy of a fresh tensor to it; for what `sent` copies from page-locked memory it
does not wait.
"""

from collections import Counter
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

NOTHING = {
    *("detach", "lift_fresh", "empty", "empty_like", "empty_strided", "new_empty"),
    *("new_empty_strided", "promote_types", "is_same_size", "sym_size", "_record_function_exit"),
    "_record_function_enter_new",
}
"""Operators beside the views that launch nothing: memory, handles, questions."""
WAITING = {  # by the names of operators
    *("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "bincount", "nms", "equal")
}
"""Operators whose result has a size that only the device knows, or is a number."""
COPYING = (torch.tensor, torch.as_tensor, torch.Tensor.tolist, torch.Tensor.cpu)
"""Copies to and from the device, which a CPU has none of."""


class Operators(TorchDispatchMode):
    """While it is entered, counts by name what is launched, and what the host would wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.launched: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()
        self._copies = _Copies(self.waits)

    def __enter__(self) -> "Operators":
        self._copies.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._copies.__exit__(*error)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = func.overloadpacket.__name__
        if not func.is_view and name not in NOTHING:
            self.launched[name] += 1
        if name in WAITING or (name.startswith("index") and _masked(args)):
            self.waits[name] += 1
        if name == "repeat_interleave" and "output_size" not in (kwargs or {}):
            self.waits[name] += 1
        return func(*args, **(kwargs or {}))


def _masked(args: tuple[Any, ...]) -> bool:
    """Whether these are arguments of an indexing with a mask."""
    index = args[1] if isinstance(args[1], list | tuple) else ()
    return any(part is not None and part.dtype == torch.bool for part in index)


class _Copies(TorchFunctionMode):
    def __init__(self, waits: Counter[str]) -> None:
        super().__init__()
        self.waits = waits

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func in COPYING:
            self.waits[func.__name__] += 1
        return func(*args, **(kwargs or {}))
