"""Packages that only some formats need, and what to tell where they are missing."""

from importlib import import_module
from typing import Any

from bacl.messages.errors import UserError


class MissingPackageError(UserError, ImportError):
    """A format needs packages that are not installed."""


def needed(name: str, format_name: str, extra: str, packages: str) -> Any:
    """The module of a name.

    Args:
        name: of the module.
        format_name: that needs it, as in `export.format`.
        extra: of ours that installs it.
        packages: to install by hand.

    Raises:
        MissingPackageError: it cannot be imported.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingPackageError(
            f"export.format={format_name}: {error}; install what it needs with pip install "
            f"'bacl[{extra}]' (or: pip install {packages})"
        ) from error
