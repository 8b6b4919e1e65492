"""Writes a choice of an annotation file's records as an annotation file, record by record."""

import json
from collections.abc import Callable, Mapping
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from bacl.data.annotations.json_stream import stream_records
from bacl.data.annotations.validation import SECTIONS
from bacl.files.atomic import replacing
from bacl.files.disk_space import require_space
from bacl.processes.progress import byte_progress

START = '{"info":'
"""How a file begins that was written here: with what is said of the choice."""
Keeps = Callable[[str, int, Mapping[str, Any]], bool]
"""Whether a record of a section, with this number in it, is taken."""


def write_choice(source: Path, target: Path, info: Mapping[str, Any], keeps: Keeps) -> None:
    """Write the records of `source` that are kept to `target`, whole or not at all.

    Args:
        source: a COCO- or LVIS-format json.
        target: the file to write; its folder is made.
        info: what the file says of itself.
        keeps: which records are taken.

    Raises:
        AnnotationError: the source is bad.
        NotEnoughSpaceError: the disk is too small for it.
    """
    size = source.stat().st_size
    target.parent.mkdir(parents=True, exist_ok=True)
    require_space(target.parent, size, target.name)
    with (
        replacing(target) as temporary,
        temporary.open("w", encoding="utf-8") as file,
        byte_progress(f"writing {target.name}", size) as advance,
    ):
        file.write(START + json.dumps(info))
        for section, records in groupby(stream_records(source, SECTIONS, advance), itemgetter(0)):
            file.write(f',\n"{section}":[')
            separator = "\n"
            for _, number, record in records:
                if keeps(section, number, record):
                    file.write(separator + json.dumps(record, separators=(",", ":")))
                    separator = ",\n"
            file.write("]")
        file.write("}\n")
