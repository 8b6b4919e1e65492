"""detections_<head>.json and accepted_<head>.json, and images.json, which says what they are of."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from bacl.data.images.read_pictures import Unreadable
from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.json_list import JsonListWriter
from bacl.evaluation.results_writer import ResultsWriter
from bacl.messages.errors import OptionError
from bacl.prediction.output import Predicted

KINDS = ("detections", "accepted")
"""What the names of the files of a head begin with."""


@dataclass(frozen=True)
class PredictedIds:
    """Images numbered from 1, however many (`bacl.evaluation.results_writer.Ids`)."""

    category_ids: np.ndarray
    image_ids: None = None


class ResultFiles(ExitStack):
    """Writes batch by batch; every file appears, whole, when the block ends without error.

    detections_<head>.json, which has all detections, and accepted_<head>.json, which has those to
    take in use, are in the LVIS results format, with image ids that images.json explains:
    its `images` (id, file_name within `folder`, width and height of the picture as a viewer shows
    it) and `categories` are those of an annotation file, and `unreadable` names the rest.

    Args:
        output: the folder.
        heads: names of those whose results are wanted.
        folder: of the images, or what else they are of.
        category_ids: of the training file, by label.
        category_names: by label.
        notes: more for images.json, such as the checkpoint.

    Raises:
        OptionError: there are results in the folder.
    """

    def __init__(
        self,
        output: Path,
        heads: Sequence[str],
        folder: str,
        category_ids: Sequence[int],
        category_names: Sequence[str],
        notes: Mapping[str, Any],
    ) -> None:
        super().__init__()
        images = output / "images.json"
        _refuse_earlier(images)
        ids = PredictedIds(np.asarray(category_ids))
        self._writers = {
            (kind, head): ResultsWriter(output / f"{kind}_{head}.json", ids)
            for head in heads
            for kind in KINDS
        }
        named = zip(category_ids, category_names, strict=True)
        categories = [{"id": int(number), "name": name} for number, name in named]
        content = {**notes, "folder": folder, "categories": categories}
        before = json.dumps(content)[:-1] + ', "images": '
        self._images = JsonListWriter(images, before, self._after_images)
        self._unreadable: list[Unreadable] = []

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            # Entered first, it appears last: where it is, the detections are.
            for each in (self._images, *self._writers.values()):
                opened.enter_context(each)
            self.enter_context(opened.pop_all())
        return self

    def write(self, batch: Predicted) -> None:
        """Append images and every head's detections in pixels of the original files."""
        numbers = [target.image_id for target in batch.targets]
        for (kind, head), writer in self._writers.items():
            of_heads = batch.detections if kind == "detections" else batch.accepted
            writer.write_columns(DetectionColumns.from_detections(of_heads[head], numbers))
        self._images.write_texts(json.dumps(record) for record in batch.records())

    def files(self, batch: Predicted) -> list[Path]:
        """See `Output`."""
        return [each.path for each in (self._images, *self._writers.values())]

    def leave_out(self, unreadable: Sequence[Unreadable]) -> None:
        """Note files that gave no picture."""
        self._unreadable += unreadable

    @property
    def unreadable(self) -> Sequence[Unreadable]:
        """All that was left out so far."""
        return self._unreadable

    def _after_images(self) -> str:
        rest = [asdict(each) for each in self._unreadable]
        return f', "unreadable": {json.dumps(rest)}}}'


def _refuse_earlier(images: Path) -> None:
    if images.exists():
        raise OptionError(
            f"{images.parent} holds the results of an earlier prediction: name another folder with "
            "predict.output=…, or delete this one"
        )
