"""A bank of cut-outs, from anywhere, as a second source of copy-paste.

As in X-Paste (Zhao et al., "X-Paste: Revisiting Scalable Data Augmentation with CLIP and
StableDiffusion", ICML 2023), whose numbers are those of conf/augment. C: categories of the training
annotations. S: side of the canvas in pixels.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from torch import nn

from bacl.data.annotations.table import AnnotationTable
from bacl.data.augmentation.canvas import Canvas
from bacl.data.augmentation.cut_outs import OPAQUE, CutOuts, read_cut_out
from bacl.data.augmentation.placement import boxes_of
from bacl.data.augmentation.sources import WeightedDraw, category_weights, picture_shares
from bacl.messages.errors import OptionError
from bacl.options.marks import NamesFile
from bacl.options.ranges import (
    Count,
    File,
    NotNegative,
    PositiveShare,
    Share,
    ShareBelowOne,
    Whole,
)


class InstanceBank(nn.Module):
    """Objects cut out of their pictures: PNG files with an alpha channel, in a folder per category.

    The number of pasted cut-outs is uniform on 0..max_pasted. Each is drawn anew, scaled, mirrored
    and put with its centre anywhere in the picture, over those before it; what lies beyond the
    picture is cut off. The square root of its box' area is, as a share of that of the picture, a
    normal draw with mean and deviation of the category's objects in the training annotations; of a
    category without any, those of all objects. Draws are from torch's generator, which the data
    set seeds for each sample: a run is repeatable with the same files.

    Args:
        folder: of the bank: `<folder>/<name or id of a category>/*.png`. None in what a checkpoint
            says of its training.
        max_pasted: most cut-outs in a picture.
        power: a category is drawn in proportion to n^-power, with n the training images that show
            it, and then one of its cut-outs: 0 takes all categories alike, 1 the rare ones first.
            None takes all cut-outs alike.
        flip_probability: of mirroring.
        least_side: pixels; least square root of the box' area.
        largest_share: largest one, as a share of the square root of the picture's.
        ratio_jitter: width over height is multiplied by a uniform draw, this far around 1.
    """

    def __init__(
        self,
        folder: NamesFile[File | None],
        max_pasted: Whole,
        power: NotNegative | None,
        flip_probability: Share,
        least_side: Count,
        largest_share: PositiveShare,
        ratio_jitter: ShareBelowOne,
    ) -> None:
        super().__init__()
        self.folder = folder
        self.max_pasted = max_pasted
        self.power = power
        self.flip_probability = flip_probability
        self.least_side = least_side
        self.largest_share = largest_share
        self.ratio_jitter = ratio_jitter
        self.cut_outs: CutOuts | None = None
        """The files, once they have been looked for."""

    def prepare(self, table: AnnotationTable) -> None:
        """Look for the cut-outs of the categories of the training annotations.

        Raises:
            OptionError: there is no such folder, it has none, or of other categories.
        """
        if self.folder is None:
            raise OptionError(
                "augment.train.bank.folder is not set: name the folder with the cut-outs"
            )
        self.cut_outs = CutOuts.found(self.folder, table)
        labels = self.cut_outs.labels
        shares = np.full(len(labels), 1 / len(labels))
        if self.power is not None:
            weights = category_weights(table.image_counts, self.power)
            shares = picture_shares(len(labels), np.arange(len(labels)), labels, weights)
        self._draw = WeightedDraw(shares)
        self._sizes = object_sizes(table)

    def forward(self, size: tuple[int, int], side: int) -> Iterator[Canvas]:
        """Cut-outs to paste, one after the other, each on a canvas of its own.

        Args:
            size: height and width of the picture, in the upper left corner of the canvas.
            side: S.

        Raises:
            PictureError: a file is missing, broken, without alpha channel, or shows nothing.
        """
        assert self.cut_outs is not None, "the data set opens it"
        for _ in range(int(torch.randint(self.max_pasted + 1, ()))):
            canvas = self._placed(self._draw(), size, side)
            if canvas is not None:
                yield canvas

    def _placed(self, number: int, size: tuple[int, int], side: int) -> Canvas | None:
        """A cut-out on its canvas; None if no pixel of it is in the picture."""
        assert self.cut_outs is not None
        label = int(self.cut_outs.labels[number])
        cut_out = read_cut_out(self.cut_outs.path(number))
        new = self._draw_size(label, cut_out.width / cut_out.height, size)
        pixels = np.asarray(cut_out.resize(new[::-1], Image.Resampling.BILINEAR))
        if float(torch.rand(())) < self.flip_probability:
            pixels = pixels[:, ::-1]
        top, left = (int(torch.randint(extent, ())) for extent in size)
        return on_canvas(pixels, (top - new[0] // 2, left - new[1] // 2), label, size, side)

    def _draw_size(self, label: int, ratio: float, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of a cut-out of the category whose width is `ratio` times its height."""
        mean, deviation = self._sizes[label].tolist()
        whole = math.sqrt(size[0] * size[1])
        share = mean + deviation * float(torch.randn(()))
        root = max(self.least_side, whole * min(share, self.largest_share))
        jitter = 1 + self.ratio_jitter * (2 * float(torch.rand(())) - 1)
        stretch = math.sqrt(ratio * jitter)
        return max(1, round(root / stretch)), max(1, round(root * stretch))


def object_sizes(table: AnnotationTable) -> np.ndarray:
    """(C, 2) mean and deviation of the square root of a box' share of its picture's area."""
    rows = np.flatnonzero(table.trainable)
    pictures = table.image_sizes[np.repeat(np.arange(table.num_images), np.diff(table.offsets))]
    areas = table.boxes[rows, 2:].prod(1) / pictures[rows].astype(np.float64).prod(1)
    roots, labels = np.sqrt(areas), table.labels[rows]
    counts = np.bincount(labels, minlength=table.num_categories)
    sums = [np.bincount(labels, each, len(counts)) for each in (roots, roots**2)]
    means, squares = (each / np.maximum(counts, 1) for each in sums)
    sizes = np.stack([means, np.sqrt(np.maximum(squares - means**2, 0))], axis=1)
    sizes[counts == 0] = roots.mean(), roots.std()
    return sizes


def on_canvas(
    pixels: np.ndarray, corner: tuple[int, int], label: int, size: tuple[int, int], side: int
) -> Canvas | None:
    """A cut-out on a canvas; None if no opaque pixel of it is in the picture.

    Args:
        pixels: (h, w, 4) uint8, red, green, blue and alpha.
        corner: top and left of the cut-out, which may lie outside.
        label: of its category.
        size: height and width of the picture.
        side: S.
    """
    (top, left), (height, width) = corner, pixels.shape[:2]
    rows = slice(max(0, top), min(size[0], top + height))
    columns = slice(max(0, left), min(size[1], left + width))
    part = pixels[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    mask = np.zeros((side, side), dtype=np.uint8, order="F")
    mask[rows, columns] = part[..., 3] >= OPAQUE
    if not mask.any():
        return None
    image = torch.zeros(side, side, 3, dtype=torch.uint8).permute(2, 0, 1)
    image[:, rows, columns] = torch.from_numpy(part[..., :3].copy()).permute(2, 0, 1)
    masks = [coco_mask.encode(mask)]
    return Canvas(image, size, masks, boxes_of(masks), np.array([label]))
