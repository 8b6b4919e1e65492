"""Parts of a configuration: the nodes with a `_target_`, which are built into objects."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from pkgutil import resolve_name
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

VOWELS = "AEIOU"
PLAIN = (int, float, bool, str, NoneType, Path, Any)


@dataclass(frozen=True)
class Part:
    """What a node makes, as far as it is known."""

    makes: str | type = object
    """A class, or where to find it."""
    factory: bool | None = False
    """Whether the node is `_partial_`, for other code to complete; None where it is either."""
    optional: bool = False
    """Whether a function that makes nothing will do."""
    named: bool = True
    """Whether the node has a `_target_`; or else some options of what it makes."""
    marked: tuple[str, ...] = ()
    """Classes of such nodes of which options have marks for a configuration as a whole."""

    def is_made_by(self, target: str) -> bool:
        """Whether what `_target_` names makes such an object; a module cannot.

        A function is believed, unless its signature says that it makes nothing or something else.
        """
        wanted = resolve_name(self.makes) if isinstance(self.makes, str) else self.makes
        found = resolve_name(target)
        made = found if isinstance(found, type) else _returned(found)
        if made is None:
            return self.optional
        is_known = isinstance(made, type) and not getattr(wanted, "_is_protocol", False)
        return issubclass(made, wanted) if is_known else callable(found)

    def __str__(self) -> str:
        name = self.makes if isinstance(self.makes, str) else self.makes.__name__
        kind = name.rpartition(".")[2]
        made = "something" if kind == "object" else f"{'an' if kind[0] in VOWELS else 'a'} {kind}"
        partial = "_partial_: true and " if self.factory else ""
        return f"options with {partial}a _target_ that makes {made}"


def _returned(function: Any) -> Any:
    return getattr(function, "__annotations__", {}).get("return", Any)


def part_of(hint: Any) -> Part | None:
    """The part that an option of this type is; None for a plain value."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        parts = map(part_of, get_args(hint))
        found = next((part for part in parts if part is not None), None)
        return found and replace(found, optional=NoneType in get_args(hint))
    if origin is Annotated:
        own = [each for each in hint.__metadata__ if isinstance(each, Part)]
        return own[0] if own else part_of(get_args(hint)[0])
    if origin is Callable:
        made = get_args(hint)[1]
        return Part(made if isinstance(made, type) else object, factory=True)
    is_class = isinstance(hint, type) and origin is None and hint not in PLAIN
    return Part(hint) if is_class else None


def element_of(hint: Any, of: type) -> Any:
    """Type of the values of a `Mapping`, or of another kind of collection; None for no such."""
    for each in (hint, *get_args(hint)):
        origin = get_origin(each)
        if isinstance(origin, type) and issubclass(origin, of):
            return get_args(each)[-1]
    return None
