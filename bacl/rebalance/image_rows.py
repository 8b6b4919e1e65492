"""What a detector's classifier sees of one image: the unit of a dump.

R: regions or queries of the image. M: features of repeated objects. D: width of a feature.
C: categories; label C is background. N: objects of the image.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from bacl.rebalance.description import DumpError

BACKGROUND = -1
"""The object of a row that has none."""

FLOATING = ("features", "boxes", "deltas", "extra_features")


class RowsError(DumpError):
    """What was dumped of an image does not fit together."""


@dataclass(eq=False)
class ImageRows:
    """Rows of one image, boxes in pixels of its file."""

    image_id: int
    """The annotation file's."""
    features: Tensor
    """(R, D) floating: the very input of the classifier's layer."""
    boxes: Tensor
    """(R, 4) float32 xyxy, before any deltas."""
    labels: Tensor | None = None
    """(R,) int64 in [0, C], of training images."""
    objects: Tensor | None = None
    """(R,) int64 in [0, N), of training images: the row's object among the image's trainable
    annotations in the file's order; BACKGROUND where there is none."""
    deltas: Tensor | None = None
    """(R, 4 C) or (R, 4) of validation images, where boxes are refined by class, or for all."""
    extra_features: Tensor | None = None
    """(M, D) of objects seen several times: at jittered boxes (Eq. 10), or by repeated queries."""
    extra_objects: Tensor | None = None
    """(M,) int64 in [0, N)."""
    logits: Tensor | None = None
    """(R, K) what the other classifier made of the features, to compare with; see
    `Description.rule` for what K is."""

    def tensors(self) -> dict[str, Tensor]:
        """What there is, by name."""
        return {
            each.name: value
            for each in fields(self)
            if isinstance(value := getattr(self, each.name), Tensor)
        }

    @classmethod
    def of(cls, image_id: int, tensors: Mapping[str, Tensor]) -> Self:
        """Rows of what `tensors` gave."""
        return cls(image_id, **tensors)

    def check(self, num_classes: int, feature_dim: int, trains: bool) -> None:
        """Refuse what no detector can have seen.

        Args:
            num_classes: C.
            feature_dim: D.
            trains: whether it is a training image, which has labels.

        Raises:
            RowsError: names the image, the tensor and what it should be.
        """
        rows = len(self.features)
        self._shape("features", (rows, feature_dim))
        self._shape("boxes", (rows, 4))
        for name in FLOATING:
            value = getattr(self, name)
            if value is not None and not value.is_floating_point():
                self._refuse(name, "floating", value.dtype)
            if value is not None and not bool(torch.isfinite(value).all()):
                self._refuse(name, "finite")
        if bool((self.boxes[:, 2:] < self.boxes[:, :2]).any()):
            self._refuse("boxes", "x1 <= x2 and y1 <= y2")
        if self.deltas is not None and self.deltas.shape not in (
            (rows, 4),
            (rows, 4 * num_classes),
        ):
            self._refuse("deltas", f"({rows}, 4) or ({rows}, {4 * num_classes})")
        if trains or self.labels is not None or self.objects is not None:
            self._check_labels(num_classes)
        if self.extra_features is not None:
            count = len(self.extra_features)
            self._shape("extra_features", (count, feature_dim))
            self._integers("extra_objects", count)

    def check_objects(self, categories: Tensor) -> None:
        """Compare with the objects that the annotation file has of the image.

        Args:
            categories: (N,) int64 labels of its objects.

        Raises:
            RowsError: a row is of an object that is not there, or of another category than it.
        """
        count = len(categories)
        limits = {"objects": BACKGROUND, "extra_objects": 0}
        for name, low in limits.items():
            own = getattr(self, name)
            if own is not None and len(own) and not low <= int(own.min()) <= int(own.max()) < count:
                self._refuse(name, f"from {low} to {count - 1}: it has {count} objects")
        if self.labels is None or self.objects is None:
            return
        matched = self.objects >= 0
        if not torch.equal(self.labels[matched], categories[self.objects[matched]]):
            self._refuse("labels", "the category of the row's object in the annotation file")

    def _check_labels(self, num_classes: int) -> None:
        for name in ("labels", "objects"):
            self._integers(name, len(self.features))
        assert self.labels is not None
        assert self.objects is not None
        if (
            len(self.labels)
            and not 0 <= int(self.labels.min()) <= int(self.labels.max()) <= num_classes
        ):
            self._refuse("labels", f"from 0 to {num_classes}, which is background")
        if not torch.equal(self.labels == num_classes, self.objects == BACKGROUND):
            self._refuse("objects", f"{BACKGROUND} for background rows, and for no other")

    def _integers(self, name: str, count: int) -> None:
        self._shape(name, (count,))
        if getattr(self, name).dtype != torch.int64:
            self._refuse(name, "int64", getattr(self, name).dtype)

    def _shape(self, name: str, shape: tuple[int, ...]) -> None:
        value = getattr(self, name)
        if value is None or tuple(value.shape) != shape:
            self._refuse(name, str(shape), None if value is None else tuple(value.shape))

    def _refuse(self, name: str, expected: str, found: object = "other") -> None:
        raise RowsError(
            f"image {self.image_id}: `{name}` is {found}, expected {expected}; mend what "
            "dumped it, and dump it again"
        )


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of rows with the file that they are of."""
    try:
        yield
    except RowsError as error:
        raise RowsError(f"{path}: {error}") from error
