"""Modules by name, all of one kind."""

from collections.abc import ItemsView, ValuesView
from typing import TYPE_CHECKING, Generic, TypeVar

from torch import nn

M = TypeVar("M", bound=nn.Module)


class Modules(nn.ModuleDict, Generic[M]):
    """An `nn.ModuleDict` that says what it holds."""

    if TYPE_CHECKING:

        def __getitem__(self, key: str) -> M: ...
        def items(self) -> ItemsView[str, M]:
            """Names and modules, in order."""

        def values(self) -> ValuesView[M]:
            """The modules, in order."""
