"""Pictures computed one by one, so that none depends on those that it shares a batch with.

B: images.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

Maps = tuple[Tensor, ...]


def each_alone(
    compute: Callable[[Tensor], Maps],
    images: Tensor,
    sizes: Sequence[tuple[int, int]],
    together: bool,
) -> Maps:
    """Maps of a batch whose pictures are computed without the padding that the batch adds.

    Args:
        compute: maps (b, ·, h_l, w_l) of images (b, 3, h, w) of one size.
        images: (B, 3, H, W), each picture in the upper left corner.
        sizes: (height, width) of each picture with its own padding.
        together: compute pictures of one size together; what they are rounded to then depends on
            how many there are.

    Returns:
        Maps (B, ·, H_l, W_l) of the largest sizes, zero where a picture has nothing.
    """
    order: list[int] = []
    parts: list[Maps] = []
    for members in _groups(sizes, together):
        height, width = sizes[members[0]]
        parts.append(compute(_taken(images, members)[:, :, :height, :width].contiguous()))
        order += members
    if len(parts) == 1:
        return parts[0]
    back = [order.index(image) for image in range(len(sizes))]
    return tuple(_joined(level, back) for level in zip(*parts, strict=True))


def _groups(sizes: Sequence[tuple[int, int]], together: bool) -> list[list[int]]:
    if not together:
        return [[image] for image in range(len(sizes))]
    groups: dict[tuple[int, int], list[int]] = {}
    for image, size in enumerate(sizes):
        groups.setdefault(size, []).append(image)
    return list(groups.values())


def _taken(images: Tensor, members: Sequence[int]) -> Tensor:
    """Some of the images; a view where one or all are."""
    if len(members) == len(images):
        return images
    parts = [images[image : image + 1] for image in members]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _joined(parts: Sequence[Tensor], back: Sequence[int]) -> Tensor:
    """One level of all groups, padded to the largest, in the order of the batch."""
    height, width = (max(part.shape[axis] for part in parts) for axis in (2, 3))
    padded = [F.pad(x, (0, width - x.shape[3], 0, height - x.shape[2])) for x in parts]
    if list(back) == list(range(len(back))):
        return torch.cat(padded)
    rows = [row for part in padded for row in part.split(1)]
    return torch.cat([rows[place] for place in back])
