"""From a node of the configuration to an object: the one caller of Hydra's `instantiate`."""

from collections.abc import Mapping
from typing import Any, TypeVar

from hydra.errors import InstantiationException
from hydra.utils import instantiate as hydra_instantiate
from omegaconf import Node

from bacl.messages.errors import OptionError, UserError, in_one_line

Built = TypeVar("Built")


def instantiate(node: Any, kind: type[Built] | None = None, **options: Any) -> Built:
    """The object that a node of the configuration describes, given plain lists and dicts.

    Args:
        node: of the configuration.
        kind: what the object must be one of, where it is not None.
        options: handed to its class as they are; Hydra would make a configuration of them.

    Raises:
        UserError: the class refuses its options, in its own words where it knows the mend; or the
            node names nothing that can be built, or another kind of object.
    """
    where = node._get_full_key(None) if isinstance(node, Node) else type(node).__name__
    try:
        built = called(node, options)
    except UserError:
        raise
    except Exception as error:  # of any class that a configuration may name
        raise OptionError(f"{where}: {type(error).__name__}: {in_one_line(error)}") from error
    if kind is not None and not isinstance(built, kind):
        raise OptionError(f"{where}: builds a {type(built).__name__}, expected a {kind.__name__}")
    return built


def called(node: Any, options: Mapping[str, Any]) -> Any:
    """What the class or function of a node gives.

    Raises:
        UserError: as it says itself, or that it takes no such options.
    """
    try:
        if not options:
            return hydra_instantiate(node, _convert_="all")
        return hydra_instantiate(node, _convert_="all", _partial_=True)(**options)
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        raise OptionError(in_one_line(error)) from error
