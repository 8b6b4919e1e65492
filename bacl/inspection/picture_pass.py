"""One pass over all picture files of a split, by worker processes."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from bacl.data.images.image_files import ImageFiles
from bacl.data.loading import batch_loader
from bacl.inspection.picture_facts import Fact, PictureFacts, State, look
from bacl.processes.progress import count_progress

CHUNK = 32
"""Pictures that a process looks at before it tells."""
_SLOW = 500  # pictures from which on there is something to wait for


class _Looks(Dataset[Fact]):
    """The fact of a picture, by the row of its image."""

    def __init__(self, files: ImageFiles) -> None:
        self.files = files

    def __getitem__(self, row: int) -> Fact:
        return look(self.files, row)


def look_at_pictures(
    files: ImageFiles, rows: np.ndarray, num_workers: int, description: str
) -> PictureFacts:
    """Facts of the pictures of some images; the others were not looked at.

    A picture of 640 x 480 pixels takes some 3 ms of one core.

    Args:
        files: the images of a table.
        rows: (n,) images to look at, ascending.
        num_workers: processes; 0 looks in this one.
        description: of the progress bar.
    """
    chunks = [rows[first : first + CHUNK].tolist() for first in range(0, len(rows), CHUNK)]
    loader: Iterable[Any] = batch_loader(_Looks(files), chunks, num_workers, collate_fn=list)
    facts = [Fact(State.NOT_LOOKED_AT)] * files.table.num_images
    with count_progress(description, len(rows), "pictures", len(rows) < _SLOW) as advance:
        for chunk, found in zip(chunks, loader, strict=True):
            for row, fact in zip(chunk, found, strict=True):
                facts[row] = fact
            advance(len(chunk))
    return PictureFacts.of(facts)
