"""Heads, or variants of them, that fail beside others, which go on without them."""

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from bacl.messages.dispensable import reason
from bacl.processes.distributed import (
    PeerFailedError,
    failing_together,
    gather_objects,
    process_rank,
)
from bacl.processes.peers import lost_connection

_log = logging.getLogger(__name__)

_OF_THE_DEVICE = (
    torch.OutOfMemoryError,
    # After it the device computes nothing more; older torch has no class for it.
    getattr(torch, "AcceleratorError", torch.OutOfMemoryError),
)
"""Errors that are no head's own."""


class Failures:
    """What failed, by name, and why.

    Nothing else depends on a head, so an error of one is no reason to end the others. Errors of
    the device and of lost processes are let through.
    """

    def __init__(self) -> None:
        self.tolerated = False
        """Whether the others go on; False lets every error through."""
        self.first = True
        """Whether no step has been computed yet."""
        self.place = ""
        """Where errors happen, such as "at step 12", for the reasons."""
        self.reasons: dict[str, str] = {}
        """One line each. Empty where another process knows it, until all `agree`."""
        self._errors: dict[str, Exception] = {}
        self._told: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self.reasons

    def of(self, names: Collection[str]) -> AbstractContextManager[None]:
        """A block that these alone need: an error in it is theirs.

        It may hold collectives: every process enters it, and where it fails on one, it fails on
        all, and none is left waiting.
        """
        return self._block(names, failing_together)

    def of_this_process(self, names: Collection[str]) -> AbstractContextManager[None]:
        """The same of a block without collectives: others hear of it when all `agree`."""
        return self._block(names, nullcontext)

    def any_of(self, names: Collection[str]) -> bool:
        """Whether one of these has failed."""
        return any(name in self for name in names)

    def told_of(self, names: Collection[str]) -> str:
        """Those of these names that failed, and why, a line each."""
        return "\n".join(f"{name}: {self.reasons[name]}" for name in names if name in self)

    def note(self, name: str, why: str) -> None:
        """That something failed without an error, as by a loss that is not finite."""
        self.reasons.setdefault(name, why)

    def agree(self) -> None:
        """Let every process know what failed on any of them; all call it together."""
        if not self.tolerated:
            return
        for theirs in gather_objects(dict(self.reasons)):
            for name, why in theirs.items():
                self.reasons[name] = self.reasons.get(name) or why

    def tell(self, lack: str) -> None:
        """Warn of what has failed since the last time; the first process speaks for all."""
        for name, why in self.reasons.items():
            if name not in self._told and process_rank() == 0:
                _log.warning("%s: %s: %s", name, lack, why)
        self._told = set(self.reasons)

    def raise_first(self, names: Collection[str]) -> None:
        """Raise the first error of these that was caught here, if one was: nothing is left."""
        for name, error in self._errors.items():
            if name in names:
                raise error

    def let_go(self) -> None:
        """Keep the reasons alone, once the others have gone on.

        An error holds the frames it passed through, and with them its step's levels and graph.
        """
        for error in self._errors.values():
            error.__traceback__ = None
        self._errors.clear()

    @contextmanager
    def _block(
        self, names: Collection[str], common: Callable[[], AbstractContextManager[None]]
    ) -> Iterator[None]:
        if not self.tolerated:
            yield
            return
        try:
            with common():
                yield
        except _OF_THE_DEVICE:
            raise
        except Exception as error:
            if lost_connection(error):
                raise
            self._note(names, error)

    def _note(self, names: Collection[str], error: Exception) -> None:
        told = "" if isinstance(error, PeerFailedError) else f"{reason(error)} {self.place}".strip()
        for name in names:
            self.reasons[name] = told
            self._errors[name] = error
        _log.debug("%s failed %s", ", ".join(names), self.place, exc_info=error)
