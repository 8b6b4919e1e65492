"""A large results file in parts that begin and end with records, read by several processes.

Where it is cut cannot change what is read. A cut is made in front of a text that looks like a
separator; each part is then read as a whole number of records with separators in front, as the file
itself is, and if one is not, the file is not read so at all.
"""

import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch.utils.data import Dataset

from bacl.data.loading import batch_loader
from bacl.evaluation.flat_columns import FlatColumns
from bacl.evaluation.flat_records import LONGEST, read_part, without_opening
from bacl.evaluation.number_lists import NumberReader
from bacl.evaluation.record_layout import SPACES, OtherLayoutError, RecordLayout
from bacl.processes.cores import usable_cores

LARGE = 1 << 27
"""Bytes from which on a file is shared out: one core reads as many in two thirds of a second."""
_OF_EACH = 1 << 25
"""Bytes that a reader has at least: to start one costs as much time as to read a few MB."""
MOST = 8
"""Readers: as many hand over what one process can join."""
_PART = 1 << 23  # bytes: few enough that what waits to be joined is small


def num_readers(path: Path) -> int:
    """Processes to read a file: one for each thread that torch may compute with, up to 8, or none.

    None for small files and packed ones, and where processes cannot be forked: on other systems
    than Linux, and in a process that loads data.
    """
    size = path.stat().st_size
    readers = min(torch.get_num_threads(), usable_cores(), MOST, size // _OF_EACH)
    forks = sys.platform == "linux" and not multiprocessing.current_process().daemon
    large = path.suffix != ".gz" and size >= LARGE
    return readers if forks and large and readers > 1 else 0


def read_parts(path: Path, label_of: np.ndarray, readers: int) -> Iterator[FlatColumns]:
    """The records of a file in order, some ten thousand at a time.

    Args:
        path: the file, not packed.
        label_of: see `labels_by_id`.
        readers: processes.

    Raises:
        OtherLayoutError: the file is written in another way, a category has no label.
        RuntimeError: the system has ended a process, as for its memory; it may come at any moment
            until the last record is there.
        OSError: no process can be started, or the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(2 * LONGEST)
        records = without_opening(head)
        if b"}" not in records:
            raise OtherLayoutError
        layout, first = RecordLayout.of(records), records.index(b"}") + 1
        cuts = [*_cuts(file, len(head) - len(records) + first, layout), _end(file)]
    yield FlatColumns.of([layout.read(records[:first], NumberReader())], label_of)
    parts = _Parts(path, layout, label_of, cuts)
    order = [[part] for part in range(len(parts))]
    loader: Iterable[Any] = batch_loader(
        parts, order, readers, multiprocessing_context="fork", collate_fn=_alone
    )
    for columns in loader:
        if columns is None:
            raise OtherLayoutError
        yield columns


class _Parts(Dataset[FlatColumns | None]):
    """What lies between two cuts each; None where it is written in another way."""

    def __init__(
        self, path: Path, layout: RecordLayout, label_of: np.ndarray, cuts: Sequence[int]
    ) -> None:
        self._path, self._layout, self._label_of, self._cuts = path, layout, label_of, cuts

    def __len__(self) -> int:
        return len(self._cuts) - 1

    def __getitem__(self, part: int) -> FlatColumns | None:
        with self._path.open("rb") as file:
            read = _between(file, self._cuts[part], self._cuts[part + 1])
            try:
                return FlatColumns.of(read_part(read, self._layout), self._label_of)
            except OtherLayoutError:
                return None


def _alone(parts: Sequence[FlatColumns | None]) -> FlatColumns | None:
    """Of a batch of one. Arrays of NumPy go through a pipe: shared memory is often small."""
    return parts[0]


def _between(file: BinaryIO, start: int, stop: int) -> Callable[[int], bytes]:
    """Reads so many bytes more, up to `stop`."""
    file.seek(start)
    return lambda size: file.read(min(size, stop - file.tell()))


def _cuts(file: BinaryIO, start: int, layout: RecordLayout) -> Iterator[int]:
    """Places just behind records: `start`, and one about every `_PART` bytes."""
    between = b"}" + layout.separator + b"{"
    while True:
        yield start
        file.seek(start + _PART)
        found = file.read(2 * LONGEST).find(between)
        if found < 0:
            return
        start += _PART + found + 1


def _end(file: BinaryIO) -> int:
    """The place behind the last record.

    Raises:
        OtherLayoutError: behind it is something else than the end of the list.
    """
    size = file.seek(0, 2)
    start = max(0, size - LONGEST)
    file.seek(start)
    tail = file.read()
    end = tail.rfind(b"}") + 1
    if tail[end:].strip(SPACES) != b"]":
        raise OtherLayoutError
    return start + end
