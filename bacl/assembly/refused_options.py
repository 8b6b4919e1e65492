"""Which of a trainer's options Lightning refuses, which itself often names none."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from bacl.messages.errors import OptionError, UserError, in_one_line
from bacl.options.libraries import Trainer as TrainerOptions
from bacl.options.marked import options_with
from bacl.options.marks import HARDWARE

REFUSED = (MisconfigurationException, ValueError, TypeError, RuntimeError, LookupError)
"""What Lightning raises for options that do not exist, or not on this machine."""


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
        refused = _refused(options)
        hardware = options_with(HARDWARE, TrainerOptions)
        keys = [refused] if refused else [key for key in hardware if key in options]
        named = ", ".join(f"trainer.{key}={options[key]}" for key in keys)
        mend = "; trainer=auto has options for any machine" if set(keys) <= set(hardware) else ""
        raise OptionError(f"{named}: {in_one_line(error)}{mend}") from error


def _refused(options: Mapping[str, Any]) -> str | None:
    """The first option that is refused by itself; None where they may not go together."""
    for key, value in options.items():
        if isinstance(value, Mapping) or key.startswith("_"):
            continue
        try:
            Trainer(**{key: value}, logger=False, enable_checkpointing=False)
        except REFUSED:
            return key
    return None
