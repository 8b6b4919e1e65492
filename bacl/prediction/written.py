"""What a prediction writes, by what was asked for."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bacl.data.images.picture_file import Reading
from bacl.prediction.coco_file import CocoFiles
from bacl.prediction.drawn import Drawing, Look
from bacl.prediction.output import Output, Vocabulary
from bacl.prediction.result_files import ResultFiles
from bacl.prediction.source import Source
from bacl.prediction.tally import Tally
from bacl.prediction.yolo_files import YoloFiles


@dataclass(frozen=True)
class WantedFiles:
    """What a command wants to be written, and where."""

    folder: Path
    kinds: Collection[str]
    """Of files: "lvis", "coco", "yolo"."""
    pictures: int | None
    """That are drawn; None draws all, and of a video any number but 0 does."""
    again: bool
    """Whether the folder has what an interrupted command kept of this very prediction."""


@dataclass(frozen=True)
class DescribedModel:
    """What is said of a model in files and on pictures."""

    heads: Sequence[str]
    """Names."""
    categories: Vocabulary
    """Of the training file."""
    taken: str
    """By what detections are accepted, in words."""
    reading: Reading
    """How its pictures are read."""
    notes: Mapping[str, Any]
    """More, for images.json."""


@dataclass(frozen=True)
class Written:
    """What a prediction writes and counts."""

    results: ResultFiles
    others: Sequence[Output]
    drawing: Drawing | None
    tally: Tally

    @property
    def outputs(self) -> list[Output]:
        """All of it; images.json, which is of the first, is whole last."""
        drawing = [] if self.drawing is None else [self.drawing]
        return [self.results, *self.others, *drawing, self.tally]

    @property
    def num_drawn(self) -> int:
        """Pictures or frames with detections on them."""
        return 0 if self.drawing is None else self.drawing.done


def written_of(source: Source, wanted: WantedFiles, model: DescribedModel) -> Written:
    """All outputs.

    Args:
        source: of the pictures.
        wanted: which.
        model: that detects.

    Raises:
        OptionError: there are results in the folder.
    """
    folder, heads, categories = wanted.folder, model.heads, model.categories
    names = categories.names
    of_lvis = heads if "lvis" in wanted.kinds else []
    results = ResultFiles(folder, of_lvis, source.folder, categories.ids, names, model.notes)
    others: list[Output] = []
    if "coco" in wanted.kinds:
        others.append(CocoFiles(folder, heads, categories))
    if "yolo" in wanted.kinds:
        others.append(YoloFiles(folder, heads, names))
    others += source.lines(folder, heads, categories, wanted.again)
    drawing = None
    if wanted.pictures != 0:
        look = Look(names, model.taken)
        drawing = source.drawing(folder, look, wanted.pictures, model.reading)
    return Written(results, others, drawing, Tally(heads, names, model.taken))
