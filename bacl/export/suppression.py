"""Non-maximum suppression per group with a result of fixed shape, as a tracer needs it.

B: images. N: boxes of an image, best first within their group. G: groups (classes).
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad
from torchvision.ops import nms

Survivors = Callable[[Tensor, Tensor, int, float], Tensor]
"""From boxes (B, N, 4), groups (B, N) int64 in [0, G), G and an IoU to the survivors (B, N) bool:
those whose IoU with every better survivor of their image and group is at most the given one."""


def survivors(boxes: Tensor, groups: Tensor, num_groups: int, iou: float) -> Tensor:
    """`Survivors` by torchvision's operator, which knows no groups: they are moved apart.

    The offsets are added in double precision, where they round nothing that matters.
    """
    images = torch.arange(boxes.shape[0], device=boxes.device).unsqueeze(1)
    places = (groups + num_groups * images).flatten()
    boxes = boxes.flatten(0, 1).double()
    # Two empty boxes, which overlap nothing, always survive: a trace of torchvision's operator
    # holds for two survivors or more only.
    boxes = pad(boxes, (0, 0, 0, 2))
    reach = (boxes.abs().max() + 1) * 2
    boxes = boxes + pad(places * reach, (0, 2)).unsqueeze(1)
    count = boxes.shape[0]
    # Their order takes the place of the scores: equal ones cannot be taken in another order.
    ranks = torch.arange(count, 0, -1, device=boxes.device).to(boxes.dtype)
    kept = nms(boxes, ranks, iou)
    survives = torch.ones_like(kept, dtype=torch.bool)
    every = torch.zeros(count, dtype=torch.bool, device=boxes.device).scatter(0, kept, survives)
    return every[:-2].view_as(groups)


@torch.library.custom_op("bacl::survivors", mutates_args=())
def survivors_operator(boxes: Tensor, groups: Tensor, num_groups: int, iou: float) -> Tensor:
    """`survivors` as one operator of a traced program, for a format that has one of its own."""
    return survivors(boxes, groups, num_groups, iou)


@survivors_operator.register_fake
def _(boxes: Tensor, groups: Tensor, num_groups: int, iou: float) -> Tensor:
    return torch.empty_like(groups, dtype=torch.bool)
