"""Batches of dumped rows, in place of pictures.

B: images. R: rows of the batch. M: rows of repeated objects. D: width of a feature. C: categories.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from bacl.data.batch import Batch, Target
from bacl.messages.errors import UserError
from bacl.rebalance.image_rows import ImageRows


@dataclass(slots=True)
class DumpedRows:
    """Rows of a batch's images, images in order: what a `DumpedDetector` hands over."""

    features: Tensor
    """(R, D) float32."""
    boxes: Tensor
    """(R, 4)."""
    counts: list[int]
    """(B,) how many are of each image."""
    labels: Tensor | None = None
    """(R,) int64 in [0, C], of training images."""
    objects: Tensor | None = None
    """(R,) int64, the row's object in its image's target."""
    object_boxes: Tensor | None = None
    """(R, 4) of these; zeros for background."""
    foreground: Tensor | None = None
    """(·,) int64 in [0, R), ascending."""
    foreground_counts: list[int] | None = None
    """(B,)."""
    deltas: Tensor | None = None
    """(R, 4 C) or (R, 4) float32, of validation images, where boxes are refined."""
    extra_features: Tensor | None = None
    """(M, D) float32."""
    extra_labels: Tensor | None = None
    """(M,) int64 in [0, C)."""
    extra_objects: Tensor | None = None
    """(M,) int64: which of all objects of the batch."""

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "DumpedRows":
        """The same rows on `device`."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "DumpedRows":
        """The same rows in pinned memory."""
        return self._each(Tensor.pin_memory)

    def cpu(self) -> dict[str, Any]:
        """What there is by name, on the CPU, for a file."""
        there = self.to("cpu")
        return {each.name: getattr(there, each.name) for each in fields(there)}

    def __iter__(self) -> Iterator[Tensor]:
        """As a pyramid's levels: what the classifiers read."""
        yield self.features

    def _each(self, change: Callable[[Tensor], Tensor]) -> "DumpedRows":
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        changed: dict[str, Any] = {
            name: change(x) for name, x in values.items() if isinstance(x, Tensor)
        }
        return replace(self, **changed)


Sample = tuple[ImageRows, Target]


def collate_rows(samples: Sequence[Sample] | UserError) -> Any:
    """The batch of some images' rows and targets, or the error that came instead of them."""
    if isinstance(samples, UserError):
        return samples
    targets = [target for _, target in samples]
    images = [rows for rows, _ in samples]
    rows = DumpedRows(
        torch.cat([each.features for each in images]).float(),
        torch.cat([each.boxes for each in images]).float(),
        [len(each.features) for each in images],
        deltas=_joined([each.deltas for each in images]),
    )
    if images[0].labels is not None:
        _add_labels(rows, images, targets)
    return Batch(rows, targets)


def _add_labels(rows: DumpedRows, images: Sequence[ImageRows], targets: Sequence[Target]) -> None:
    labels = [each.labels for each in images if each.labels is not None]
    objects = [each.objects for each in images if each.objects is not None]
    rows.labels, rows.objects = torch.cat(labels), torch.cat(objects)
    rows.object_boxes = torch.cat(
        [_of_objects(target.boxes, own) for target, own in zip(targets, objects, strict=True)]
    )
    positive = rows.objects >= 0
    rows.foreground = positive.nonzero().squeeze(1)
    rows.foreground_counts = [int(own.sum()) for own in positive.split(rows.counts)]
    rows.extra_features = _joined([each.extra_features for each in images])
    if rows.extra_features is not None:
        own = [each.extra_objects for each in images if each.extra_objects is not None]
        starts = accumulate((len(target.labels) for target in targets[:-1]), initial=0)
        rows.extra_objects = torch.cat([x + start for x, start in zip(own, starts, strict=True)])
        rows.extra_labels = torch.cat([target.labels for target in targets])[rows.extra_objects]


def _of_objects(boxes: Tensor, objects: Tensor) -> Tensor:
    """(n, 4) boxes of each row's object; a background row, whose object is -1, has the last."""
    return torch.cat((boxes, boxes.new_zeros(1, 4)))[objects]


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    """All of them as float32; None where there are none."""
    there = [part for part in parts if part is not None]
    return torch.cat(there).float() if there else None
