"""Detections of many images, column by column: what the evaluation keeps and gathers.

I: images. D: their detections, image after image, in the order in which they were given.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from bacl.data.batch import Detections
from bacl.evaluation.mask_codes import PackedMasks, no_masks, pack_masks, take_codes


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
    mask_sizes: np.ndarray
    """(I, 2) int32, height and width of each image's masks; 0 where it has none."""
    mask_areas: np.ndarray
    """(D,) float64, pixels of each mask; 0 without."""
    code_lengths: np.ndarray
    """(D,) int32, bytes of each mask's run-length code; 0 without a mask."""
    codes: np.ndarray
    """(·,) uint8, the codes end to end."""

    @classmethod
    def from_detections(
        cls, detections: Sequence[Detections], image_ids: Sequence[int] | None
    ) -> "DetectionColumns":
        """Columns of one `Detections` (xyxy, pixels of the original file) for each image id.

        Raises:
            ValueError: if there are more or fewer detections than image ids, or masks that do not
                fit them.
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
            **pack_masks(detections),
        )

    @classmethod
    def concatenate(cls, parts: Iterable["DetectionColumns"]) -> "DetectionColumns":
        """The images of all parts, one part after the other."""
        parts = list(parts)
        if len(parts) == 1:
            return parts[0]
        parts.append(_NO_IMAGES)
        return cls(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in COLUMN_NAMES)
        )

    def of_image(self, image_id: int) -> Detections:
        """Of one of its images, in pixels of the original file; empty where it has none."""
        own = self.only(self.image_ids == image_id)
        boxes = own.boxes.copy()
        boxes[:, 2:] += boxes[:, :2]
        packed = own.masks
        masks = [packed[row] for row in range(len(own.scores))] if own.code_lengths.any() else None
        return Detections(
            torch.from_numpy(boxes).float(),
            torch.from_numpy(own.scores).float(),
            torch.from_numpy(own.labels).long(),
            masks,
        )

    @property
    def areas(self) -> np.ndarray:
        """(D,) width times height in square pixels."""
        return self.boxes[:, 2] * self.boxes[:, 3]

    @property
    def masks(self) -> PackedMasks:
        """The masks by row."""
        return PackedMasks(self.mask_sizes, self.counts, self.code_lengths, self.codes)

    def without_masks(self) -> "DetectionColumns":
        """The boxes alone."""
        return replace(self, **no_masks(len(self.image_ids), len(self.scores)))

    def distinct(self) -> "DetectionColumns":
        """Every image once, with the detections of its first occurrence.

        A sampler that pads its list so that all processes get equally many images shows some twice.
        """
        first = np.sort(np.unique(self.image_ids, return_index=True)[1])
        if len(first) == len(self.image_ids):
            return self
        kept = np.zeros(len(self.image_ids), bool)
        kept[first] = True
        return self.only(kept)

    def only(self, kept: np.ndarray) -> "DetectionColumns":
        """The images that `kept` (I,) bool says."""
        rows = np.repeat(kept, self.counts)
        return DetectionColumns(
            self.image_ids[kept],
            self.counts[kept],
            self.boxes[rows],
            self.scores[rows],
            self.labels[rows],
            self.mask_sizes[kept],
            self.mask_areas[rows],
            self.code_lengths[rows],
            take_codes(self.codes, self.code_lengths, np.flatnonzero(rows)),
        )


COLUMN_NAMES = tuple(field.name for field in fields(DetectionColumns))
_NO_IMAGES = DetectionColumns(
    np.zeros(0, np.int64),
    np.zeros(0, np.int64),
    np.zeros((0, 4)),
    np.zeros(0),
    np.zeros(0, np.int32),
    **no_masks(0, 0),
)
