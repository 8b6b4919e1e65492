"""What a network finds in a batch of pictures, and in the tiles of large ones."""

from dataclasses import replace
from itertools import islice
from typing import Any

import torch

from bacl.data.batch import Batch
from bacl.data.images.read_pictures import Collated
from bacl.prediction.detected_batch import Found
from bacl.prediction.tiled import TileBatches, with_tiles


class BatchDetector:
    """Every head's detections of what was read.

    Args:
        stage: has a `detector`, and `detect(batch)`, by head.
        device: of the stage.
        tiles: of large pictures; None where none are asked for.
    """

    def __init__(self, stage: Any, device: torch.device, tiles: TileBatches | None) -> None:
        self._stage, self._device, self._tiles = stage, device, tiles

    def __call__(self, read: Collated) -> Found:
        """Detections of a batch; none of any head where nothing could be read."""
        if read.batch is None:
            return {}
        own, select = self.detect(read.batch), self._stage.detector.postprocess
        if self._tiles is None:
            return own
        rule = select.tolerated_iou, select.max_detections
        return with_tiles(own, read.stored, self._tiles, self.detect, rule)

    def detect(self, batch: Batch) -> Found:
        """Detections of pictures that are tensors."""
        return downloaded(self._stage.detect(batch.to(self._device)))


def downloaded(found: Found) -> Found:
    """The same on the host, by three transfers, whatever the number of heads and pictures."""
    every = [each for own in found.values() for each in own]
    if not every:
        return found
    counts = [len(each.scores) for each in every]
    columns = [
        torch.cat([getattr(each, name) for each in every]).to("cpu").split(counts)
        for name in ("boxes", "scores", "labels")
    ]
    here = (
        replace(each, boxes=boxes, scores=scores, labels=labels)
        for each, boxes, scores, labels in zip(every, *columns, strict=True)
    )
    return {head: list(islice(here, len(own))) for head, own in found.items()}
