"""RoIAlign (Mask R-CNN, 2017) over one feature map, fast on a CPU too.

B: images. Ch: channels. R: RoIs. s: bins along a side. E: entries of a table of weights.

A bin's value, the mean of bilinear samples on a regular grid, is a weighted sum of pixels, and its
weights are the outer product of one vector along y and one along x. So weights are computed per
axis and multiplied out only for the pixels that a bin touches. With pixels as rows (channels last),
pooling is a sum of weighted rows, for which `embedding_bag` has a fast kernel, and so is the
gradient: the same table of (bin, pixel, weight), sorted by pixel instead of by bin.
"""

from typing import Any, NamedTuple

import torch
import torchvision
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


def roi_align(
    features: Tensor,
    rois: Tensor,
    output_size: int,
    spatial_scale: float,
    sampling_ratio: int = 0,
) -> Tensor:
    """Pool RoIs into squares of `output_size` bins, with the half-pixel shift ("aligned").

    Equal to `torchvision.ops.roi_align(..., aligned=True)`, which is what runs on a GPU; on a CPU
    that operator has one thread and a slow gradient. Computed in float32 at least.

    Args:
        features: (B, Ch, H, W); in `torch.channels_last` a CPU is spared a copy.
        rois: (R, 5) index of the image and xyxy in its pixels. They get no gradient.
        output_size: s.
        spatial_scale: Pixels of `features` per pixel of the image, 1 / stride.
        sampling_ratio: Samples per bin along a side; 0 for one per pixel of `features` begun.

    Returns:
        (R, Ch, s, s) in the type of `features`; from a CPU in channels-last order in memory.

    Raises:
        ValueError: A RoI is not finite (checked on a CPU only, a GPU would have to wait).
    """
    precise = features.to(torch.promote_types(features.dtype, torch.float32))
    rois = rois.to(precise.dtype)
    # A trace records operators for one number of RoIs only unless it is a single operator.
    if features.device.type == "cpu" and len(rois) > 0 and not torch.jit.is_tracing():
        pooled = _WeightedRows.apply(precise, rois, output_size, spatial_scale, sampling_ratio)
    else:
        pooled = torchvision.ops.roi_align(
            precise, rois, output_size, spatial_scale, sampling_ratio, aligned=True
        )
    return pooled.to(features.dtype)


class _Support(NamedTuple):
    """Consecutive pixels that each bin touches along one axis."""

    first: Tensor
    """(R, s) int32, index of the first pixel."""
    extent: Tensor
    """(R, s) int32, number of pixels; 0 where all samples lie outside."""
    weights: Tensor
    """(R, s, K), weights of the pixels from the first on, zero from `extent` on."""


class _Table(NamedTuple):
    """Which rows to sum into which bag: every bag is a run of entries."""

    rows: Tensor
    """(E,) int32."""
    weights: Tensor
    """(E,)."""
    sizes: Tensor
    """(bags,) int32, entries of each bag."""

    def sum(self, values: Tensor) -> Tensor:
        """Weighted sums (bags, Ch) of rows of `values` (·, Ch)."""
        offsets = self.sizes.cumsum(0, dtype=torch.int32) - self.sizes
        return functional.embedding_bag(
            self.rows, values, offsets, mode="sum", per_sample_weights=self.weights
        )

    def transposed(self, num_rows: int) -> "_Table":
        """The table that sums bags into `num_rows` rows."""
        rows, order = self.rows.sort(stable=True)
        bags = torch.repeat_interleave(self.sizes)
        sizes = rows.bincount(minlength=num_rows).int()
        return _Table(bags.index_select(0, order), self.weights.index_select(0, order), sizes)


class _WeightedRows(torch.autograd.Function):
    """RoIAlign on a CPU; differentiable once, with respect to the features."""

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        rois: Tensor,
        output_size: int,
        spatial_scale: float,
        sampling_ratio: int,
    ) -> Tensor:
        table = _table(rois, features.shape, output_size, spatial_scale, sampling_ratio)
        ctx.save_for_backward(*table)
        ctx.shape = features.shape
        bins = table.sum(features.permute(0, 2, 3, 1).flatten(0, 2))
        return bins.view(len(rois), output_size, output_size, -1).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        batch, channels, height, width = ctx.shape
        table = _Table(*ctx.saved_tensors).transposed(batch * height * width)
        pixels = table.sum(gradient.permute(0, 2, 3, 1).flatten(0, 2))
        return pixels.view(batch, height, width, channels).permute(0, 3, 1, 2), *(None,) * 4


def _table(
    rois: Tensor, shape: torch.Size, bins: int, spatial_scale: float, sampling_ratio: int
) -> _Table:
    """Bags are bins (R * s * s), rows are pixels (B * H * W) of features of `shape`."""
    if not torch.isfinite(rois).all():
        raise ValueError("rois hold values that are not finite: the model diverged")
    low, high = (rois[:, 1:] * spatial_scale - 0.5).t().unflatten(0, (2, 2))
    along_x, along_y = _supports(low, high - low, bins, (shape[3], shape[2]), sampling_ratio)
    below = rois[:, :1].int() * shape[2]  # rows of the images before
    return _outer(along_y._replace(first=along_y.first + below), along_x, shape[3])


def _supports(
    start: Tensor, length: Tensor, bins: int, limits: tuple[int, int], sampling_ratio: int
) -> list[_Support]:
    """Pixels and weights along both axes, of `limits` pixels, whose centres are whole numbers.

    A sample more than one pixel outside counts as zero, others outside move onto the border. RoIs
    begin at `start` (2, R) and have `length` (2, R); without samples where that is not positive.
    """
    limit = torch.tensor(limits).view(2, 1, 1, 1)
    size = (length / bins)[..., None, None]
    samples = torch.full_like(size, sampling_ratio) if sampling_ratio else size.ceil().clamp(min=0)
    index = torch.arange(max(int(samples.amax()), 1))
    begin = start[..., None, None] + torch.arange(bins)[:, None] * size
    position = begin + (index + 0.5) * size / samples.clamp(min=1)
    inside = (index < samples) & (position >= -1) & (position <= limit)
    position = position.clamp(min=0).minimum((limit - 1).to(position.dtype))
    low = position.long()
    rest = position - low
    first = low.where(inside, limit - 1).amin(3)
    last = (low + (rest > 0)).where(inside, -1).amax(3)
    extent = (last - first + 1).clamp(min=0)
    share = inside / samples.clamp(min=1)
    place = (low - first.unsqueeze(3)).where(inside, 0)
    weights = start.new_zeros(*extent.shape, max(int(extent.amax()), 1) + 1)
    weights.scatter_add_(3, place, share * (1 - rest)).scatter_add_(3, place + 1, share * rest)
    return list(map(_Support, first.int(), extent.int(), weights))


def _outer(along_y: _Support, along_x: _Support, width: int) -> _Table:
    """Multiply both axes out: first the image rows that each bin touches, then their pixels."""
    num_rois, bins, room_y = along_y.weights.shape
    room_x = along_x.weights.shape[2]
    slots = torch.arange(num_rois * bins, dtype=torch.int32).view(num_rois, bins)
    slot_y = slots.unsqueeze(2).expand(-1, -1, bins).flatten()
    slot_x = slots.unsqueeze(1).expand(-1, bins, -1).flatten()

    bin_of, (row, place_y) = _expand(
        _take(along_y.extent, slot_y), _take(along_y.first, slot_y), slot_y * room_y
    )
    slot_x = slot_x.index_select(0, bin_of)
    row_of, (pixel, place_x) = _expand(
        _take(along_x.extent, slot_x), row * width + _take(along_x.first, slot_x), slot_x * room_x
    )
    weight_y = _take(along_y.weights, place_y).index_select(0, row_of)
    sizes = along_y.extent.unsqueeze(2) * along_x.extent.unsqueeze(1)
    return _Table(pixel, _take(along_x.weights, place_x).mul_(weight_y), sizes.flatten())


def _take(values: Tensor, index: Tensor) -> Tensor:
    return values.flatten().index_select(0, index)  # several times faster than values[index]


def _expand(counts: Tensor, *starts: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The owner of every member of groups of `counts`, and start, start + 1, ... in each group."""
    owner = torch.repeat_interleave(counts)
    before = counts.cumsum(0, dtype=torch.int32) - counts
    index = torch.arange(len(owner), dtype=torch.int32)
    return owner, [(start - before).index_select(0, owner).add_(index) for start in starts]
