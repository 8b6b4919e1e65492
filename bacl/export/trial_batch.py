"""Pictures that a file is tried on, and what the model itself finds in them.

B: images. H, W: height and width of the input. D: rows of detections of an image.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms import v2

from bacl.data.batch import Batch, Detections, Target, padded_sides
from bacl.data.collate import IMAGENET_MEAN, IMAGENET_STD
from bacl.detectors.acceptance import Acceptance
from bacl.detectors.mask_paste import run_lengths
from bacl.detectors.region_detector import RegionDetector
from bacl.export.detection_agreement import Agreement, agreement
from bacl.export.tracing import ImageSize
from bacl.heads import Head
from bacl.stages.detection import detect

BESIDE = 255
"""What lies beside pictures: a file must not look at it."""
HEAD = "head"

Program = Callable[[Tensor, Tensor], tuple[Tensor, ...]]
"""What a runtime makes of a file: see `ExportableDetector.forward`."""


@dataclass(frozen=True)
class Trial:
    """A batch, as a file takes it."""

    images: Tensor
    """(B, 3, H, W) uint8 RGB, pictures in the upper left corners."""
    sizes: Tensor
    """(B, 2) int64, height and width of the pictures."""

    def batch(self) -> Batch:
        """The same pictures as the training code takes them."""
        height, width = padded_sides(*self.images.shape[2:])
        images = torch.zeros(len(self.images), 3, height, width)
        scale = (1 / IMAGENET_STD).view(3, 1, 1)
        targets = []
        for image, slot, (rows, columns) in zip(
            self.images, images, self.sizes.tolist(), strict=True
        ):
            part = slot[:, :rows, :columns]
            part.copy_(image[:, :rows, :columns]).sub_(IMAGENET_MEAN.view(3, 1, 1)).mul_(scale)
            targets.append(_target(rows, columns, (height, width)))
        return Batch(images, targets)

    def expected(
        self, detector: RegionDetector, head: Head, accept: Acceptance | None
    ) -> list[Detections]:
        """What the model finds, in pixels of `images`, in the precision of its weights."""
        batch = self.batch()
        batch.images = batch.images.to(next(detector.parameters()).dtype)
        found = detect(detector, {HEAD: head}, batch)[HEAD]
        return found if accept is None else [accept(each) for each in found]

    def found(self, program: Program, mask_threshold: float | None) -> list[Detections]:
        """What a file finds, without the rows that are empty.

        Args:
            program: of the file.
            mask_threshold: a pixel belongs to a mask from this probability on; None without masks.
        """
        boxes, scores, labels, *masks = program(self.images, self.sizes)
        filled = [int((own > 0).sum()) for own in scores]
        detections = [
            Detections(boxes[image, :count], scores[image, :count], labels[image, :count])
            for image, count in enumerate(filled)
        ]
        if mask_threshold is not None:
            for found, own, (rows, columns) in zip(
                detections, masks[0], self.sizes.tolist(), strict=True
            ):
                probabilities = own[: len(found.labels)]
                size = rows, columns
                found.masks = run_lengths(probabilities, found.boxes, size, mask_threshold)
        return detections


def trials(pictures: Sequence[Tensor], image_size: ImageSize) -> list[Trial]:
    """All pictures as one batch, and the first one by itself.

    Args:
        pictures: (3, h, w) uint8 RGB as the network sees them; those larger than `image_size` are
            made to fit.
        image_size: (H, W) of the file's input; None: as large as the largest picture.
    """
    if image_size is not None:
        pictures = [_fitting(picture, image_size) for picture in pictures]
    return [_trial(part, image_size) for part in (pictures, pictures[:1])]


def compared(
    expected: Iterable[Sequence[Detections]], found: Iterable[Sequence[Detections]]
) -> Agreement:
    """Of several batches."""
    total = Agreement()
    for mine, theirs in zip(expected, found, strict=True):
        total = total.plus(agreement(mine, theirs))
    return total


def _trial(pictures: Sequence[Tensor], image_size: ImageSize) -> Trial:
    sizes = torch.tensor([picture.shape[1:] for picture in pictures])
    height, width = image_size or sizes.amax(0).tolist()
    images = torch.full((len(pictures), 3, height, width), BESIDE, dtype=torch.uint8)
    for slot, picture in zip(images, pictures, strict=True):
        slot[:, : picture.shape[1], : picture.shape[2]] = picture
    return Trial(images, sizes)


def _fitting(picture: Tensor, image_size: tuple[int, int]) -> Tensor:
    height, width = picture.shape[1:]
    scale = min(image_size[0] / height, image_size[1] / width)
    if scale >= 1:
        return picture
    size = [max(1, int(height * scale)), max(1, int(width * scale))]
    return v2.functional.resize(picture, size, antialias=True)


def _target(rows: int, columns: int, canvas: tuple[int, int]) -> Target:
    nothing = torch.zeros(0, dtype=torch.int64)
    size = rows, columns
    return Target(0, torch.zeros(0, 4), nothing, size, canvas, size, nothing, nothing)
