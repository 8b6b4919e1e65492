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


def written_of(
    source: Source,
    output: Path,
    heads: Sequence[str],
    categories: Vocabulary,
    taken: str,
    notes: Mapping[str, Any],
    kinds: Collection[str],
    most: int | None,
    reading: Reading,
    again: bool,
) -> Written:
    """All outputs.

    Args:
        source: of the pictures.
        output: the folder.
        heads: names.
        categories: of the training file.
        taken: by what detections are accepted, in words.
        notes: of the model, for images.json.
        kinds: of files: "lvis", "coco", "yolo".
        most: pictures that are drawn; None draws all, and of a video any number but 0 does.
        reading: how pictures are read.
        again: whether the folder has what an interrupted command kept of this very prediction.

    Raises:
        OptionError: there are results in the folder.
    """
    names = categories.names
    wanted = heads if "lvis" in kinds else []
    results = ResultFiles(output, wanted, source.folder, categories.ids, names, notes)
    others: list[Output] = []
    if "coco" in kinds:
        others.append(CocoFiles(output, heads, categories))
    if "yolo" in kinds:
        others.append(YoloFiles(output, heads, names))
    others += source.lines(output, heads, categories, again)
    drawing = None
    if most != 0:
        drawing = source.drawing(output, Look(names, taken), most, reading)
    return Written(results, others, drawing, Tally(heads, names, taken))
