"""The options of what a `_target_` names, from the signatures of its constructors; of sections."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pkgutil import resolve_name
from typing import (
    Annotated,
    Any,
    Literal,
    Never,
    NotRequired,
    get_args,
    get_origin,
    get_type_hints,
)

from bacl.messages.errors import OptionError, in_one_line
from bacl.options.libraries import LIBRARIES
from bacl.options.parts import part_of

VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Options(dict[str, Any]):
    """Types by the names of options."""

    needed: frozenset[str] = frozenset()
    """Those without a default."""
    takes_others: bool = False
    """Whether there are options that no signature names."""


@cache
def options_of(target: str) -> Options:
    """The options of a class, with those that its constructor hands on to another, or a function.

    Raises:
        Exception: there is no such object to import; `resolve_name` says why.
    """
    made = found(target)
    options, needed = Options(), set[str]()
    for call in _calls(made):
        parameters = inspect.signature(call).parameters.values()
        named = {each.name: each for each in parameters if each.kind not in VARIADIC}
        for name, hint in _hints(call, named.keys() - {"self"}).items():
            options.setdefault(name, hint)
        if _is_ours(call):
            needed |= {name for name, each in named.items() if each.default is each.empty}
        options.takes_others = any(each.kind == each.VAR_KEYWORD for each in parameters)
    for name in (target, *map(_place, _classes(made))):
        if name in LIBRARIES:
            options.update(options_of_section(LIBRARIES[name]))
            needed |= LIBRARIES[name].__required_keys__
            options.takes_others &= name == target  # of a base class, all options are listed
    options.needed = frozenset(name for name in needed & set(options) if options[name] != Never)
    return options


@cache
def options_of_section(section: Any) -> dict[str, Any]:
    """Types of a `TypedDict`'s options by their names."""
    hints = get_type_hints(section, include_extras=True)
    return {
        name: get_args(hint)[0] if get_origin(hint) is NotRequired else hint
        for name, hint in hints.items()
    }


def _hints(call: Callable[..., Any], names: Iterable[str]) -> dict[str, Any]:
    try:
        hints = get_type_hints(inspect.unwrap(call), include_extras=True)
    except NameError:  # a library that imports what it names for type checkers alone
        hints = {}
    own = {name: hints.get(name, Any) for name in names}
    return {x: Never if _is_ours(call) and not is_option(own[x]) else own[x] for x in own}


def _place(made: type) -> str:
    return f"{made.__module__}.{made.__qualname__}"


def _is_ours(call: Callable[..., Any]) -> bool:
    return str(getattr(call, "__module__", "")).partition(".")[0] == "bacl"  # one of C's has none


def found(target: str) -> Callable[..., Any]:
    """The class or function that a `_target_` names.

    Raises:
        TypeError: it is neither; or whatever a module raises that is imported.
    """
    made = resolve_name(target)
    if not callable(made):
        raise TypeError(f"a {type(made).__name__}, expected a class")
    return made


def find(target: Any, path: str) -> Callable[..., Any]:
    """The class or function that the node at `path` of a command's configuration names.

    Raises:
        OptionError: there is none of that name, or it is neither.
    """
    try:
        return found(target)
    except Exception as error:  # of any module that a name can import
        raise OptionError(f"{path}._target_={target}: {in_one_line(error)}") from error


def is_option(hint: Any) -> bool:
    """Whether a parameter of ours is an option, by its type (`bacl.options.ranges`)."""
    own = hint is bool or get_origin(hint) in (Annotated, Literal) or part_of(hint) is not None
    return own or any(map(is_option, get_args(hint)))


def _calls(made: Any) -> Iterator[Callable[..., Any]]:
    """The constructors that take the options, each from the one before; or the function."""
    if not isinstance(made, type):
        yield made
        return
    for base in _classes(made):
        constructor = base.__dict__.get("__init__")
        if constructor is None:
            continue
        yield constructor
        kinds = {each.kind for each in inspect.signature(constructor).parameters.values()}
        if inspect.Parameter.VAR_KEYWORD not in kinds or not _is_ours(constructor):
            return


def _classes(made: Any) -> tuple[type, ...]:
    return made.__mro__[:-1] if isinstance(made, type) else ()
