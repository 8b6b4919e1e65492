"""What a run can do without, once its results are written: figures, tables on screen, loggers."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from bacl.messages.errors import UserError, in_one_line
from bacl.messages.shown import visible

_log = logging.getLogger(__name__)

NAMED = 8
"""Parts that a warning names; the more there are, the likelier one cause is behind them."""


class Dispensable:
    """Parts that may fail without ending the run: a warning names them and why, and says it once.

    Every other error of a run ends it. Here it would cost a training that is finished for a
    picture of it. Signals and the end of the process are no failures, and pass.

    Example:
        with Dispensable("not drawn") as figures:
            with figures.part("losses.png"):
                draw_losses(...)
    """

    def __init__(self, lack: str) -> None:
        """Begin the warning with `lack`."""
        self._lack = lack
        self._told: set[str] = set()
        self._failed: dict[str, Exception] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *rest: object) -> None:
        """Warn of the parts that failed since the last warning, those told before excepted."""
        new = {name: error for name, error in self._failed.items() if name not in self._told}
        self._failed = {}
        self._told |= set(new)
        if new:
            names = ", ".join(visible(name) for name in list(new)[:NAMED])
            more = f" and {len(new) - NAMED} more" if len(new) > NAMED else ""
            why = reason(next(iter(new.values())))
            _log.warning("%s: %s%s (%s)", visible(self._lack), names, more, why)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """A part that may fail; its traceback is in the log at the level of debugging."""
        try:
            yield
        except Exception as error:
            _log.debug("%s", name, exc_info=True)
            self._failed[name] = error


def reason(error: Exception) -> str:
    """Why, in one line: a user's mistake in its own words, anything else with its kind."""
    text = visible(in_one_line(error))
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"
