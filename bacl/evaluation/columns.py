"""Detections of many images, column by column: what the evaluation keeps and gathers.

I: images. D: their detections, image after image, in the order in which they were given.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch

from bacl.data.batch import Detections


@dataclass(slots=True, frozen=True)
class DetectionColumns:
    """Detections of I images.

    Boxes are float64 corner and size, as in results files: a box read from a file must reach the
    evaluation with the very numbers that the official evaluation sees.
    """

    image_ids: np.ndarray
    """(I,) int64, the annotation file's image ids."""
    counts: np.ndarray
    """(I,) int64, detections of each image."""
    boxes: np.ndarray
    """(D, 4) float64 xywh in pixels of the original file."""
    scores: np.ndarray
    """(D,) float64."""
    labels: np.ndarray
    """(D,) int32 in [0, C)."""

    @classmethod
    def from_detections(
        cls, detections: Sequence[Detections], image_ids: Sequence[int] | None
    ) -> "DetectionColumns":
        """Columns of one `Detections` (xyxy, pixels of the original file) for each image id.

        Raises:
            ValueError: if there are more or fewer detections than image ids.
        """
        image_ids = [] if image_ids is None else [int(image_id) for image_id in image_ids]
        if len(detections) != len(image_ids):
            raise ValueError(
                f"{len(detections)} detections were given for {len(image_ids)} image ids; "
                "give one Detections (which may be empty) for each image"
            )
        if not detections:
            return cls.concatenate([])
        boxes = torch.cat([each.boxes for each in detections]).cpu().double().numpy()
        boxes[:, 2:] -= boxes[:, :2]
        return cls(
            np.array(image_ids, np.int64),
            np.array([len(each.scores) for each in detections], np.int64),
            boxes,
            torch.cat([each.scores for each in detections]).cpu().double().numpy(),
            torch.cat([each.labels for each in detections]).cpu().int().numpy(),
        )

    @classmethod
    def concatenate(cls, parts: Iterable["DetectionColumns"]) -> "DetectionColumns":
        """The images of all parts, one part after the other."""
        parts = [_NO_IMAGES, *parts]
        return cls(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in COLUMN_NAMES)
        )

    @property
    def areas(self) -> np.ndarray:
        """(D,) width times height in square pixels."""
        return self.boxes[:, 2] * self.boxes[:, 3]

    def distinct(self) -> "DetectionColumns":
        """Every image once, with the detections of its first occurrence.

        A sampler that pads its list so that all processes get equally many images shows some twice.
        """
        first = np.sort(np.unique(self.image_ids, return_index=True)[1])
        if len(first) == len(self.image_ids):
            return self
        kept = np.zeros(len(self.image_ids), bool)
        kept[first] = True
        rows = np.repeat(kept, self.counts)
        return DetectionColumns(
            self.image_ids[kept],
            self.counts[kept],
            self.boxes[rows],
            self.scores[rows],
            self.labels[rows],
        )

    def check(self, known_images: np.ndarray, num_categories: int) -> None:
        """Refuse what cannot be evaluated.

        Args:
            known_images: (·,) int64, ascending: the image ids of the annotation table.
            num_categories: C.

        Raises:
            ValueError: naming the image, if its id is unknown, a score or coordinate is not finite,
                or a label is outside [0, C).
        """
        unknown = ~np.isin(self.image_ids, known_images)
        if unknown.any():
            raise ValueError(
                f"image id {self.image_ids[unknown.argmax()]} has detections but is not in the "
                "annotation table; evaluate on the annotation file that the images came from"
            )
        self._refuse(~np.isfinite(self.scores), "score", self.scores, "a finite number")
        self._refuse(~np.isfinite(self.boxes).all(1), "box", self.boxes, "four finite numbers")
        outside = (self.labels < 0) | (self.labels >= num_categories)
        self._refuse(outside, "label", self.labels, f"in [0, {num_categories})")

    def _refuse(self, bad: np.ndarray, field: str, values: np.ndarray, wanted: str) -> None:
        if bad.any():
            row = int(bad.argmax())
            image_id = np.repeat(self.image_ids, self.counts)[row]
            raise ValueError(
                f"image id {image_id}: the {field} of a detection is {values[row]}; "
                f"it must be {wanted} (label {self.labels[row]}, score {self.scores[row]})"
            )


COLUMN_NAMES = tuple(field.name for field in fields(DetectionColumns))
_NO_IMAGES = DetectionColumns(
    np.zeros(0, np.int64),
    np.zeros(0, np.int64),
    np.zeros((0, 4)),
    np.zeros(0),
    np.zeros(0, np.int32),
)
