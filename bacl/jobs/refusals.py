"""Options that Lightning refuses: which one it is, in one message."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from bacl.errors import OptionError, UserError

REFUSED = (MisconfigurationException, ValueError, TypeError, RuntimeError, LookupError)
"""What Lightning raises for options that do not exist, or not on this machine."""
HARDWARE = ("accelerator", "devices", "num_nodes", "strategy", "precision")


@contextmanager
def naming_refused(options: Mapping[str, Any]) -> Iterator[None]:
    """Name the option of a trainer that is not built with them.

    Raises:
        OptionError: with what Lightning says.
    """
    try:
        yield
    except UserError:
        raise
    except REFUSED as error:
        told = " ".join(str(error).split())
        raise OptionError(
            f"{_refused_option(options)}: {told}; trainer=auto has options for any machine"
        ) from error


def _refused_option(options: Mapping[str, Any]) -> str:
    """The first option that is refused by itself, or those that may not go together."""
    for key, value in options.items():
        if isinstance(value, Mapping) or key.startswith("_"):
            continue
        try:
            Trainer(**{key: value}, logger=False, enable_checkpointing=False)
        except REFUSED:
            return f"trainer.{key}={value}"
    return f"trainer ({', '.join(f'{key}={options[key]}' for key in HARDWARE if key in options)})"
