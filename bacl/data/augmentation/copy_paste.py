"""Simple Copy-Paste (Ghiasi et al., CVPR 2021) as the published code of the paper does it.

Two pictures are resized, cropped and flipped at random onto canvases of one size; some objects of
the second replace the pixels of the first at the same place; boxes follow the pixels that remain.
N: objects of the destination. M: objects of the source.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from pycocotools import mask as coco_mask
from torch import Tensor

from bacl.data.annotations.run_lengths import mask_areas
from bacl.data.annotations.table import AnnotationTable
from bacl.data.augmentation.canvas import Canvas
from bacl.data.augmentation.instance_bank import InstanceBank
from bacl.data.augmentation.placement import boxes_of, without
from bacl.data.augmentation.scale_jitter import OnCanvas, Scales, Side, draw
from bacl.data.augmentation.transforms import Sample
from bacl.options.ranges import NotNegative, Share, Whole

MAX_SOURCE_DRAWS = 100
"""So many sources in a row without an object after their crop mean a wrong data set."""


class OutlinedSample(Protocol):
    """A picture with the outlines of its objects, before any transform."""

    image: Tensor
    """(3, H, W) uint8."""
    labels: Tensor
    """(N,) int64."""
    outlines: list[list[np.ndarray] | np.ndarray]
    """N outlines: polygons, each (P, 2) x and y in pixels, or one (H, W) uint8 mask."""


class CopyPaste(OnCanvas):
    """Scale jitter with crop and flip of two pictures, then objects of one pasted into the other.

    The number of pasted objects is uniform on 0..min(M, max_pasted), they are chosen without
    replacement and pasted with hard edges where they were. Pasted objects come after the kept ones.
    `size` of the result stays that of the destination, as in the published code: an object pasted
    into the padding lies outside it, and proposals, which are clipped to it, miss that object.

    Args:
        canvas: S, side of the square canvas in pixels; pictures that are larger are cropped.
        scale: the long side becomes a uniform draw from scale[0]..scale[1] times S.
        flip_probability: of mirroring, for each of the two pictures.
        max_pasted: most objects that are pasted.
        box_tolerance: pixels; a destination object stays if none of its box' sides moves farther...
        area_threshold: pixels; ... or if more of its mask is left. An object without any pixel
            never stays (the published code can keep its box of no size).
        source_power: how much rarer categories are preferred as the source. A category is drawn
            in proportion to n^-source_power, with n the training images that show it, and then one
            of these: 0 takes all categories alike, 1 the rare ones first. None is the published
            draw, of which every picture is the source alike.
        bank: cut-outs that are pasted after the objects of the second picture.
    """

    def __init__(
        self,
        canvas: Side,
        scale: Scales,
        flip_probability: Share,
        max_pasted: Whole,
        box_tolerance: NotNegative,
        area_threshold: NotNegative,
        source_power: NotNegative | None = None,
        bank: InstanceBank | None = None,
    ) -> None:
        super().__init__(canvas, scale, flip_probability)
        self.max_pasted = max_pasted
        self.box_tolerance = box_tolerance
        self.area_threshold = area_threshold
        self.source_power = source_power
        self.bank = bank

    def prepare(self, table: AnnotationTable) -> None:
        """Look for the bank's cut-outs, of the categories of the training annotations.

        Raises:
            OptionError: there are none, or of other categories.
        """
        if self.bank is not None:
            self.bank.prepare(table)

    def forward(
        self,
        first: OutlinedSample,
        another: Callable[[], OutlinedSample],
        with_masks: bool = False,
        keep_empty: bool = False,
    ) -> Sample | None:
        """The sample made of `first` and, as the source, `another()`.

        Args:
            first: the destination.
            another: loads a picture drawn at random from the data set; may be `first` again.
            with_masks: give the masks with the sample.
            keep_empty: paste into a `first` that has no objects too.

        Returns:
            The sample; None if no object of `first` is left.

        Raises:
            RuntimeError: no source shows an object after its crop.
            PictureError: a cut-out of the bank is missing, broken, or has no alpha channel.
        """
        destination = self.place(first, keep_empty)
        if destination is None:
            return None
        source = self._source(another)
        most = min(len(source.masks), self.max_pasted)
        count = draw(most + 1)
        if count:
            chosen = torch.randperm(len(source.masks))[:count].numpy()
            destination = self.paste(destination, source.select(chosen))
        if self.bank is not None:
            for pasted in self.bank(destination.size, self.canvas):
                destination = self.paste(destination, pasted)
        return destination.sample(with_masks)

    def place(self, sample: OutlinedSample, keep_empty: bool = False) -> Canvas | None:
        """Resize, crop, flip and pad a picture at random; None if no object is left.

        With `keep_empty` also a picture that had none before is placed.
        """
        height, width = sample.image.shape[-2:]
        placement = self.draw_placement((height, width))
        masks = [placement.run_lengths(outline) for outline in sample.outlines]
        seen = np.flatnonzero([coco_mask.area(mask) for mask in masks])
        if len(seen) == 0 and (masks or not keep_empty):
            return None
        masks = [masks[position] for position in seen]
        labels = sample.labels.numpy()[seen]
        size = placement.crop[2:]
        return Canvas(placement.image(sample.image), size, masks, boxes_of(masks), labels)

    def paste(self, destination: Canvas, pasted: Canvas) -> Canvas:
        """`destination` under all objects of `pasted`; its image is overwritten."""
        covered = coco_mask.decode(coco_mask.merge(pasted.masks))
        kept = self._occlude(destination, covered, pasted.boxes)
        _overwrite(destination.image, pasted.image, covered, pasted.boxes)
        return Canvas(
            destination.image,
            destination.size,
            kept.masks + pasted.masks,
            np.concatenate([kept.boxes, pasted.boxes]),
            np.concatenate([kept.labels, pasted.labels]),
        )

    def _occlude(self, canvas: Canvas, covered: np.ndarray, by: np.ndarray) -> Canvas:
        """The objects of which enough is left when (S, S) `covered` hides pixels.

        Only objects whose box meets one of the (M, 4) boxes `by` can change.
        """
        meets = (canvas.boxes[:, None, :2] < by[:, 2:]) & (by[:, :2] < canvas.boxes[:, None, 2:])
        touched = np.flatnonzero(meets.all(-1).any(-1))
        if len(touched) == 0:
            return canvas
        left = without([canvas.masks[position] for position in touched], covered)
        areas, boxes = mask_areas(left), boxes_of(left)
        steady = (abs(boxes - canvas.boxes[touched]) <= self.box_tolerance).all(-1)
        stays = np.ones(len(canvas.masks), dtype=bool)
        stays[touched] = (areas > 0) & (steady | (areas > self.area_threshold))
        masks = list(canvas.masks)
        for position, mask in zip(touched, left, strict=True):
            masks[position] = mask
        moved = canvas.boxes.copy()
        moved[touched] = boxes
        occluded = Canvas(canvas.image, canvas.size, masks, moved, canvas.labels)
        return occluded.select(np.flatnonzero(stays))

    def _source(self, another: Callable[[], OutlinedSample]) -> Canvas:
        for _ in range(MAX_SOURCE_DRAWS):
            source = self.place(another())
            if source is not None:
                return source
        raise RuntimeError(
            f"copy-paste found no object in {MAX_SOURCE_DRAWS} random crops in a row; "
            f"is canvas={self.canvas} too small for these images?"
        )


def _overwrite(image: Tensor, source: Tensor, covered: np.ndarray, boxes: np.ndarray) -> None:
    """Put the pixels of `source` that (S, S) `covered` marks, within (M, 4) `boxes`, in `image`."""
    left, top = boxes[:, :2].min(0).astype(int)
    right, bottom = boxes[:, 2:].max(0).astype(int)
    region = slice(top, bottom), slice(left, right)
    mask = torch.from_numpy(np.ascontiguousarray(covered[region])).bool()
    part = image[:, *region]
    part.copy_(torch.where(mask, source[:, *region], part))
