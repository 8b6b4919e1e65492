"""All that is written of a prediction, by one thread beside the network."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Self

from bacl.prediction.behind import Behind
from bacl.prediction.output import Output, Predicted

BEHIND = 4
"""Batches that may wait to be written."""


class Outputs(ExitStack):
    """Hands batches to outputs, which are whole when the block ends without an error.

    Args:
        outputs: in the order in which they are entered; what comes first is whole last.
    """

    def __init__(self, outputs: Sequence[Output]) -> None:
        super().__init__()
        self._outputs = outputs

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            for output in self._outputs:
                opened.enter_context(output)
            self._thread = opened.enter_context(Behind(1, BEHIND))
            self.enter_context(opened.pop_all())
        return self

    def write(self, batch: Predicted) -> None:
        """Have a batch written by every output; what has failed meanwhile is raised."""
        self._thread.do(self._write, batch)

    def finish(self) -> None:
        """Wait until all of it is written."""
        self._thread.finish()

    def _write(self, batch: Predicted) -> Any:
        for output in self._outputs:
            output.write(batch)
