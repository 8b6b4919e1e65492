"""A look at every picture's header before the first step: what would end a training hours later."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from bacl.data.images.completeness import looks_complete
from bacl.data.images.image_files import ImageFiles, quoted
from bacl.data.images.picture_file import PictureError, checked_fit, opened
from bacl.data.images.picture_record import UNKNOWN, PictureRecord, Stamp
from bacl.data.images.traits import told_traits, traits_of
from bacl.processes.distributed import gather_objects, num_processes, process_rank
from bacl.processes.progress import count_progress

SHOWN = 10
"""Pictures that a message names."""
_THREADS = 8  # they wait for the disk; headers are read by one at a time
_CHUNK = 64
_SLOW = 5000  # pictures from which on there is something to wait for


@dataclass(frozen=True)
class _Share:
    """What one process found: of (n,) rows, n stamps, and what is wrong by row."""

    rows: np.ndarray
    stamps: np.ndarray
    problems: dict[int, str]


def check_pictures(files: ImageFiles, rows: np.ndarray) -> list[str]:
    """Look at the headers of the pictures of some images; every process takes a share of them.

    JPEGs and PNGs that are cut off are found too. What was good and has the same size and time of
    change as then is not opened again.

    Args:
        files: the images of a table.
        rows: (n,) images to look at.

    Returns:
        Lines that tell how many pictures are read in a way worth knowing.

    Raises:
        PictureError: on every process, naming the pictures that are missing, broken, too large or
            of another size than annotated, and how to go on without them.
    """
    record = PictureRecord(files)
    own = _look_at(files, rows[process_rank() :: num_processes()], record.stamps)
    before = record.stamps.copy()
    problems: dict[int, str] = {}
    for share in _gathered(own):
        record.stamps[share.rows] = share.stamps
        problems |= share.problems
    if process_rank() == 0 and (before != record.stamps).any():
        record.save()
    if problems:
        raise PictureError(_told(files, len(rows), dict(sorted(problems.items())), record))
    name, traits = files.table.source.name, record.stamps[rows, 2]
    return list(told_traits(name, traits, files.reading.orientation))


def _gathered(share: _Share) -> Sequence[_Share]:
    return gather_objects(share)


def _look_at(files: ImageFiles, rows: np.ndarray, known: np.ndarray) -> _Share:
    """The headers of images, read by threads; stamps that are known spare the reading."""
    chunks = [rows[first : first + _CHUNK].tolist() for first in range(0, len(rows), _CHUNK)]
    hidden = process_rank() > 0 or len(rows) < _SLOW
    found: list[Stamp | str] = []
    with count_progress("checking pictures", len(rows), "pictures", hidden) as advance:
        for part in _in_threads(partial(_look_at_chunk, files, known), chunks):
            found += part
            advance(len(part))
    stamps = [UNKNOWN if isinstance(each, str) else each for each in found]
    problems = {
        int(row): each for row, each in zip(rows, found, strict=True) if isinstance(each, str)
    }
    return _Share(rows, np.array(stamps, dtype=np.int64).reshape(-1, 3), problems)


def _in_threads(
    look: partial[list[Stamp | str]], chunks: Iterable[list[int]]
) -> Iterator[list[Stamp | str]]:
    pool = ThreadPoolExecutor(_THREADS)
    try:
        yield from pool.map(look, chunks)
    finally:  # an interrupted check does not go on to its end
        pool.shutdown(cancel_futures=True)


def _look_at_chunk(files: ImageFiles, known: np.ndarray, rows: list[int]) -> list[Stamp | str]:
    return [_look(files, row, known[row]) for row in rows]


def _look(files: ImageFiles, row: int, known: np.ndarray) -> Stamp | str:
    """The stamp of a picture, or what is wrong with it."""
    try:
        path = files.locate(row)
        status = path.stat()
        stamp = status.st_size, status.st_mtime_ns
        if tuple(known[:2]) == stamp:
            return *stamp, int(known[2])
        with opened(path, files.reading.max_pixels) as picture:
            fits = checked_fit(path, picture, files.size(row))
            traits = traits_of(picture, fits)
            if not looks_complete(picture):
                picture.load()
    except (PictureError, OSError) as error:
        return str(error)
    return *stamp, int(traits)


def _told(files: ImageFiles, total: int, problems: dict[int, str], record: PictureRecord) -> str:
    if len(problems) == 1:
        ((row, text),) = problems.items()
        return f"{text} {files.told(row)}"
    lines = list(problems.values())[:SHOWN]
    names = [files.table.file_name(row) for row in problems]
    if len(names) > SHOWN:
        lines.append(f"and {len(names) - SHOWN} more")
    listed = quoted(names)
    if len(names) > SHOWN:
        listed = str(record.bad) if record.list_bad(names) else "FILE, with a name a line"
    shown = "\n  ".join(lines)
    return (
        f"{len(names):,} of {total:,} pictures of {files.table.source} cannot be used:\n  {shown}\n"
        f"to go on without them: datamodule.leave_out={listed}"
    )
