"""What a metric is given, batch by batch and by several processes, as columns of detections."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from bacl.evaluation.detection_columns import COLUMN_NAMES, DetectionColumns
from bacl.processes.distributed import gather_objects


class CollectedDetections(Metric):
    """A metric whose state are detections, a tensor for each column and update.

    Args:
        **kwargs: see `torchmetrics.Metric`.
    """

    is_differentiable = False
    full_state_update = False

    image_ids: list[Tensor]
    counts: list[Tensor]
    boxes: list[Tensor]
    scores: list[Tensor]
    labels: list[Tensor]
    mask_sizes: list[Tensor]
    mask_areas: list[Tensor]
    code_lengths: list[Tensor]
    codes: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in COLUMN_NAMES:
            self.add_state(name, default=[], dist_reduce_fx=None)

    def collect(self, columns: DetectionColumns) -> None:
        """Add images."""
        for name in COLUMN_NAMES:
            getattr(self, name).append(torch.from_numpy(getattr(columns, name)))

    def columns(self) -> DetectionColumns:
        """What this process was given, or after a synchronisation all were, each image once."""
        parts = zip(*(getattr(self, name) for name in COLUMN_NAMES), strict=True)
        columns = [DetectionColumns(*(value.cpu().numpy() for value in part)) for part in parts]
        return DetectionColumns.concatenate(columns).distinct()

    def detections(self, image_ids: Sequence[int] | None = None) -> DetectionColumns:
        """What all processes were given of these images, or of all, each image once.

        Every process must call it.
        """
        own = self.columns()
        if image_ids is not None:
            own = own.only(np.isin(own.image_ids, image_ids))
        everyone: list[Any] = gather_objects(own)
        return DetectionColumns.concatenate(everyone).distinct()

    def _sync_dist(self, dist_sync_fn: object = None, process_group: object = None) -> None:
        # One gather of objects: tensors of the base class's gather must have entries and be on the
        # backend's device, but a process may have no image, and the columns stay on the CPU.
        for name, value in zip(COLUMN_NAMES, _gathered(self.columns()), strict=True):
            setattr(self, name, value)


def _gathered(columns: DetectionColumns) -> list[list[Tensor]]:
    """The columns of all processes, as one tensor for each column and process."""
    everyone = gather_objects(columns)
    return [[torch.from_numpy(getattr(each, name)) for each in everyone] for name in COLUMN_NAMES]
