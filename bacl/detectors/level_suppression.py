"""Non-maximum suppression of many small groups of boxes at once, by all pairs of each group.

`torchvision.ops.nms` takes a group a call, and a GPU is waited for in each. Here the host waits
once for every two rounds, for all groups together; which boxes are kept is what that operator
keeps on a CPU, since IoU is computed by the same operations in the same order, without offsets.

G: groups, each a level of an image. n: boxes of a group, best first.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

ROUNDS = 2
"""Rounds of suppression between two looks at whether anything changes."""
PAIRS = 2**24
"""Pairs whose IoU is computed at once: 64 MiB, of which four are held at a time."""


def survivors_of_groups(boxes: Tensor, there: Tensor, tolerated: float) -> Tensor:
    """Which boxes greedy suppression keeps in each group, (G, n) bool.

    All start as kept. A round drops exactly those that overlap a better box kept by the round
    before, so after k rounds the answer is final for chains of k overlaps, and a round that changes
    nothing has found the only answer.

    Args:
        boxes: (G, n, 4) float32 xyxy.
        there: (G, n) bool; others are no boxes, are not kept and suppress none.
        tolerated: the greatest IoU that does not suppress.
    """
    number = max(1, PAIRS // max(1, boxes.shape[1] ** 2))
    suppresses = torch.cat([_overlap(part, tolerated) for part in boxes.split(number)]).triu_(1)
    keeps = there
    while True:
        for _ in range(ROUNDS):
            dropped = (suppresses & keeps.unsqueeze(2)).any(dim=1)
            before, keeps = keeps, there > dropped
        if torch.equal(before, keeps):
            return keeps


def side_by_side(counts: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Where the boxes of L levels, one after the other, stand in (L, n) places, and the way back.

    Returns:
        (L, n) index of each place's box, -1 where there is none; (K,) index of each box's place.
    """
    number = np.arange(max(counts))
    firsts = np.cumsum([0, *counts[:-1]])
    taken = number < np.array(counts)[:, None]
    places = np.where(taken, firsts[:, None] + number, -1)
    return places, taken.flatten().nonzero()[0]


def _overlap(boxes: Tensor, tolerated: float) -> Tensor:
    """Whether the IoU of two boxes of (G, n, 4) is above `tolerated`, (G, n, n) bool."""
    corners = boxes.movedim(2, 0).contiguous()
    low, high = corners[:2], corners[2:]
    sides = torch.minimum(high.unsqueeze(3), high.unsqueeze(2))
    sides.sub_(torch.maximum(low.unsqueeze(3), low.unsqueeze(2))).clamp_(min=0)
    shared = sides[0].mul_(sides[1])
    width, height = high - low
    areas = width * height
    both = areas.unsqueeze(2) + areas.unsqueeze(1)
    return shared.div_(both.sub_(shared)) > tolerated
