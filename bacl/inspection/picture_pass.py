"""One pass over all picture files of a split, by worker processes."""

from collections.abc import Sequence

import numpy as np
from torch.utils.data import DataLoader, Dataset

from bacl.data.images.image_files import ImageFiles
from bacl.inspection.picture_facts import Fact, PictureFacts, State, look
from bacl.processes.progress import count_progress

CHUNK = 32
"""Pictures that a process looks at before it tells."""
_SLOW = 500  # pictures from which on there is something to wait for


class _Looks(Dataset[Fact]):
    """The fact of a picture, by its place in `rows`."""

    def __init__(self, files: ImageFiles, rows: np.ndarray) -> None:
        self.files, self.rows = files, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> Fact:
        return look(self.files, int(self.rows[place]))


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
    looks: Dataset[Fact] = _Looks(files, rows)
    loader = DataLoader(looks, CHUNK, num_workers=num_workers, collate_fn=_as_it_is)
    facts = [Fact(State.NOT_LOOKED_AT)] * files.table.num_images
    done = 0
    with count_progress(description, len(rows), "pictures", len(rows) < _SLOW) as advance:
        for found in loader:
            for row, fact in zip(rows[done : done + len(found)].tolist(), found, strict=True):
                facts[row] = fact
            done += len(found)
            advance(len(found))
    return PictureFacts.of(facts)


def _as_it_is(facts: Sequence[Fact]) -> Sequence[Fact]:
    return facts
