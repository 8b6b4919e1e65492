"""Json lists of numbers as float64, each rounded as Python's own parser rounds it.

simdjson's parser makes no Python object of a number; where it is not installed, pydantic's reads
the same numbers in four times the time.
"""

from contextlib import suppress
from typing import Any

import numpy as np
from pydantic_core import from_json

Parser: Any = None
with suppress(ModuleNotFoundError):  # there is none built for this Python or system
    from simdjson import Parser


class NumberReader:
    """Reads one list after the other."""

    def __init__(self) -> None:
        self._parser = None if Parser is None else Parser()
        self.exponents = False
        """Whether the last text had some: the next one is looked at for them first."""

    def read(self, text: bytes) -> np.ndarray:
        """(n,) float64 of the json list `text`, of n numbers.

        Raises:
            ValueError: it is no list of numbers, or has one that is beyond float64 (with simdjson
                also a whole one beyond 64 bits).
        """
        if self._parser is None:
            numbers = from_json(text)
            try:
                return np.fromiter(numbers, np.float64, len(numbers))
            except (OverflowError, TypeError) as error:
                raise ValueError(str(error)) from error
        try:
            found = self._parser.parse(text)
        except RuntimeError as error:  # what simdjson makes of a whole number beyond 64 bits
            raise ValueError(str(error)) from error
        # A copy; the parser takes no other text as long as there is something of its last one.
        return np.frombuffer(found.as_buffer(of_type="d"), np.float64)


def written_whole(text: bytes, width: int, columns: list[int]) -> bool:
    """Whether all numbers of some columns are written as whole ones: 7, but not 7.0 or 7E0.

    Args:
        text: numbers with commas between them.
        width: numbers of a row.
        columns: in [0, width).
    """
    letters = np.frombuffer(text, np.uint8)
    commas = np.flatnonzero(letters == ord(","))
    marks = np.flatnonzero((letters == ord(".")) | (letters == ord("E")))
    return not np.isin(np.searchsorted(commas, marks) % width, columns).any()
