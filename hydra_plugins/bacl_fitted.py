"""Values of options that depend on the data: `${fit:…}`, `${why:…}` and `${layout:…}`.

Hydra imports what lies here before it composes. What a resolver calls is imported when one is
asked for, as torch comes with it.

`${fit:name,…}` is what a function of `bacl.inspection.fitted` chooses, `${why:name,…}` its reason;
`${layout:name,…}` is what a function of `bacl.data.layout` finds.
"""

from importlib import import_module
from typing import Any

from omegaconf import ListConfig, OmegaConf


def _called(module: str, name: str, arguments: tuple[Any, ...]) -> Any:
    plain = [list(each) if isinstance(each, ListConfig) else each for each in arguments]
    return getattr(import_module(module), name)(*plain)


def fit(name: str, *arguments: Any) -> Any:
    """The value that is chosen."""
    value = _called("bacl.inspection.fitted", name, arguments).value
    return OmegaConf.create(value) if isinstance(value, dict | list) else value


def why(name: str, *arguments: Any) -> str:
    """The reason for it."""
    return str(_called("bacl.inspection.fitted", name, arguments).reason)


def layout(name: str, *arguments: Any) -> str:
    """A path, or a name made of one."""
    return str(_called("bacl.data.layout", name, arguments))


for resolver in (fit, why, layout):
    OmegaConf.register_new_resolver(resolver.__name__, resolver, replace=True)
