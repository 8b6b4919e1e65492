"""Columns on disk: one NumPy `.npy` file each, written in pieces, opened as memory maps."""

from array import array
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

_HEADER_BYTES = 128  # what NumPy writes for one dimension: it leaves room for the length to grow
_ESCAPED = "surrogateescape"  # how Python holds bytes that are no UTF-8 in a text


class ColumnWriter:
    """A one-dimensional column of unknown length; at most `flush_at` values wait in memory.

    Args:
        path: The file.
        typecode: Of the values, in `array`'s letters.
        flush_at: So many values are written at once.
        check: Called with the values, in whole entries, before they are written.
    """

    def __init__(
        self,
        path: Path,
        typecode: str,
        flush_at: int = 1 << 20,
        check: Callable[[np.ndarray], None] = lambda _: None,
    ) -> None:
        self.waiting = array(typecode)
        """Append or extend freely, then call `written`."""
        self.length = 0
        self._flush_at, self._check = flush_at, check
        self._dtype = np.dtype(typecode)
        self._file = path.open("wb")
        self._header()

    def __len__(self) -> int:
        return self.length + len(self.waiting)

    def written(self) -> None:
        """Move what waits to the disk, if it is much."""
        if len(self.waiting) >= self._flush_at:
            self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file:
            if kind is None:
                self._flush()
                self._file.seek(0)
                self._header()

    def _flush(self) -> None:
        self._check(np.array(self.waiting))
        self.waiting.tofile(self._file)
        self.length += len(self.waiting)
        del self.waiting[:]

    def _header(self) -> None:
        description = {"descr": self._dtype.str, "fortran_order": False, "shape": (self.length,)}
        np.lib.format.write_array_header_1_0(self._file, description)
        if self._file.tell() != _HEADER_BYTES:
            raise RuntimeError(
                f"NumPy wrote a header of {self._file.tell()} bytes, not {_HEADER_BYTES}"
            )


def save_column(folder: Path, name: str, values: np.ndarray) -> None:
    """Write an array as the column `name` of a table folder."""
    np.save(folder / f"{name}.npy", values, allow_pickle=False)


def open_column(folder: Path, name: str) -> np.ndarray:
    """The column `name`, mapped read-only: its pages are shared by all processes of a machine."""
    return np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)


class Ragged:
    """Lists of different lengths: column `name` has the values, `name`_offsets (N+1,) the ends."""

    def __init__(self, folder: Path, name: str) -> None:
        self.values = open_column(folder, name)
        self.offsets = open_column(folder, f"{name}_offsets")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> np.ndarray:
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def text(self, row: int) -> str:
        """Row `row` of a column of texts."""
        return self[row].tobytes().decode(errors=_ESCAPED)

    def texts(self) -> list[str]:
        """Every row of a column of texts."""
        content, ends = self.values.tobytes(), self.offsets.tolist()
        return [content[start:end].decode(errors=_ESCAPED) for start, end in pairwise(ends)]

    @staticmethod
    def save(folder: Path, name: str, values: np.ndarray, lengths: np.ndarray) -> None:
        """Write lists that lie end to end in (V,) `values` and have (N,) `lengths`."""
        save_column(folder, name, values)
        save_column(
            folder, f"{name}_offsets", np.concatenate([[0], np.cumsum(lengths)]).astype("i8")
        )

    @staticmethod
    def save_texts(folder: Path, name: str, texts: list[str]) -> None:
        """Write texts as UTF-8 bytes; bytes of file names that are no UTF-8 stay as they are."""
        encoded = [text.encode(errors=_ESCAPED) for text in texts]
        values = np.frombuffer(b"".join(encoded), dtype=np.uint8)
        lengths = np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded))
        Ragged.save(folder, name, values, lengths)
