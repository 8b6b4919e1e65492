"""Pictures with detections on them, drawn by threads beside the network."""

from collections.abc import Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from bacl.data.batch import Detections
from bacl.data.images.picture_file import Reading, read_picture
from bacl.messages.dispensable import Dispensable
from bacl.prediction.behind import Behind
from bacl.prediction.drawn import AHEAD, WORKERS, Look
from bacl.prediction.output import Predicted
from bacl.reporting import figures


class DrawnPictures(ExitStack):
    """pictures/…: the first pictures, drawn; one that cannot be is told, and does not end the job.

    Args:
        folder: to draw into.
        source: folder of the pictures.
        names: of all pictures.
        reading: how pictures are read.
        look: of the detections.
        most: pictures to draw; None draws all.
    """

    def __init__(
        self,
        folder: Path,
        source: Path,
        names: Collection[str],
        reading: Reading,
        look: Look,
        most: int | None,
    ) -> None:
        super().__init__()
        self._drawn: list[str] = []
        self._folder, self._source, self._names = folder, source, frozenset(names)
        self._reading, self._look = reading, look
        self._left = len(self._names) if most is None else most

    @property
    def done(self) -> int:
        """Pictures that were drawn."""
        return len(self._drawn)

    def __enter__(self) -> Self:
        self._drawings = self.enter_context(Dispensable(f"{self._folder}: not drawn"))
        self._threads = self.enter_context(Behind(WORKERS, AHEAD))
        return self

    def write(self, batch: Predicted) -> None:
        """Begin to draw pictures of a batch."""
        wanted = batch.named[: self._left]
        self._left -= len(wanted)
        for place, named in enumerate(wanted):
            own = {head: each[place] for head, each in batch.accepted.items()}
            self._threads.do(self._draw, named.name, own)

    def files(self, batch: Predicted) -> list[Path]:
        """See `Output`."""
        wanted = batch.named[: self._left]
        return [self._folder / drawn_name(named.name, self._names) for named in wanted]

    def _draw(self, name: str, own: Mapping[str, Detections]) -> None:
        with self._drawings.part(name):
            picture = read_picture(self._source / name, self._reading).permute(1, 2, 0).numpy()
            path = self._folder / drawn_name(name, self._names)
            figures.draw_predictions(path, picture, own, self._look.names, self._look.taken)
            self._drawn.append(name)  # of several threads


def drawn_name(name: str, names: Collection[str]) -> str:
    """The JPEG that a picture is drawn to: no other one of `names` is drawn to it."""
    if name.lower().endswith((".jpg", ".jpeg")):
        return name
    drawn = f"{name}.jpg"
    while drawn in names:
        drawn += ".jpg"
    return drawn
