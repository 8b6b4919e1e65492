"""Non-maximum suppression per group with a result of fixed shape, as a tracer needs it.

N: boxes, best first within their group. G: groups (classes).
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad
from torchvision.ops import nms

Survivors = Callable[[Tensor, Tensor, int, float], Tensor]
"""From boxes (N, 4), groups (N,) int64 in [0, G), G and an IoU to the survivors (N,) bool: those
whose IoU with every better survivor of their group is at most the given one."""


def survivors(boxes: Tensor, groups: Tensor, num_groups: int, iou: float) -> Tensor:
    """`Survivors` by torchvision's operator, which knows no groups: they are moved apart.

    The offsets are added in double precision, where they round nothing that matters; boxes of one
    group are compared in their own precision.
    """
    if num_groups > 1:
        boxes = boxes.double()
        boxes = boxes + (groups * (boxes.abs().max() + 1) * 2).unsqueeze(1)
    # Two empty boxes, which overlap nothing, always survive: a trace of torchvision's operator
    # holds for two survivors or more only.
    boxes = pad(boxes, (0, 0, 0, 2))
    count = boxes.shape[0]
    # Their order takes the place of the scores: equal ones cannot be taken in another order.
    ranks = torch.arange(count, 0, -1, device=boxes.device).to(boxes.dtype)
    kept = nms(boxes, ranks, iou)
    survives = torch.ones_like(kept, dtype=torch.bool)
    return torch.zeros(count, dtype=torch.bool, device=boxes.device).scatter(0, kept, survives)[:-2]


@torch.library.custom_op("bacl::survivors", mutates_args=())
def survivors_operator(boxes: Tensor, groups: Tensor, num_groups: int, iou: float) -> Tensor:
    """`survivors` as one operator of a traced program, for a format that has one of its own."""
    return survivors(boxes, groups, num_groups, iou)


@survivors_operator.register_fake
def _(boxes: Tensor, groups: Tensor, num_groups: int, iou: float) -> Tensor:
    return torch.empty_like(groups, dtype=torch.bool)
