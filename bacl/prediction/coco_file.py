"""coco_<head>.json: what was accepted as a COCO file, for tools that correct annotations."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from pycocotools import mask as coco_mask

from bacl.data.batch import Detections
from bacl.evaluation.json_list import JsonListWriter
from bacl.prediction.output import Predicted, Vocabulary


class CocoFiles(ExitStack):
    """One file for each head: `images`, `categories` and `annotations`, which have a `score`.

    Masks are compressed run lengths. Numbers are as in the LVIS results beside it.

    Args:
        output: the folder.
        heads: names.
        categories: of the training file.
    """

    def __init__(self, output: Path, heads: Sequence[str], categories: Vocabulary) -> None:
        super().__init__()
        self._ids = list(categories.ids)
        named = zip(self._ids, categories.names, strict=True)
        told = json.dumps([{"id": number, "name": name} for number, name in named])
        before = f'{{"categories": {told}, "annotations": '
        self._files = {
            head: JsonListWriter(output / f"coco_{head}.json", before, self._after)
            for head in heads
        }
        self._counts = dict.fromkeys(heads, 0)
        self._images: list[str] = []

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            for file in self._files.values():
                opened.enter_context(file)
            self.enter_context(opened.pop_all())
        return self

    def write(self, batch: Predicted) -> None:
        """Append the accepted detections of a batch."""
        self._images += map(json.dumps, batch.records())
        for head, file in self._files.items():
            pairs = zip(batch.targets, batch.accepted[head], strict=True)
            for target, found in pairs:
                file.write_texts(self._records(head, target.image_id, found))

    def files(self, batch: Predicted) -> list[Path]:
        """See `Output`."""
        return [file.path for file in self._files.values()]

    def _records(self, head: str, image: int, found: Detections) -> Iterator[str]:
        columns = zip(
            found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True
        )
        for row, (box, score, label) in enumerate(columns):
            self._counts[head] += 1
            left, top, right, bottom = box
            said: dict[str, Any] = {
                "id": self._counts[head],
                "image_id": image,
                "category_id": self._ids[label],
                "bbox": [left, top, right - left, bottom - top],
                "area": (right - left) * (bottom - top),
                "iscrowd": 0,
                "score": score,
            }
            if found.masks is not None:
                mask = found.masks[row]
                said["area"] = float(coco_mask.area(mask))
                said["segmentation"] = {"size": mask["size"], "counts": mask["counts"].decode()}
            yield json.dumps(said)

    def _after(self) -> str:
        return f', "images": [{", ".join(self._images)}]}}'
