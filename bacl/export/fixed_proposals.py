"""Proposals in a number that depends on nothing: some of the rows may be empty.

B: images. K: anchors of a level that are decoded. P: rows of proposals of an image.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from bacl.detectors.boxes import clipped, large_enough
from bacl.detectors.rpn import RegionProposalNetwork
from bacl.export.one_label import rows_of
from bacl.export.suppression import Survivors


def fixed_proposals(
    rpn: RegionProposalNetwork, pyramid: Sequence[Tensor], limits: Tensor, suppress: Survivors
) -> tuple[Tensor, Tensor]:
    """Boxes (B, P, 4) and their objectness logits (B, P), best first; -inf where there is none.

    P is the most proposals that the network gives, of small pictures too.

    Args:
        rpn: the proposal network.
        pyramid: (B, channels, H_l, W_l) per level.
        limits: (B, 4), width, height, width, height of each picture, to which boxes are cut.
        suppress: how boxes of a level suppress each other.
    """
    selection, count = rpn.inference_selection, rpn.inference_selection.per_level
    anchors = rpn.anchors([(level.shape[2], level.shape[3]) for level in pyramid])
    boxes, scores = [], []
    for features, references in zip(pyramid, anchors, strict=True):
        objectness, deltas = (output.float() for output in rpn.head(features))
        # A small level has fewer anchors than are taken: as many more as are taken come last.
        best, index = pad(objectness, (0, count), value=-torch.inf).topk(count, dim=1)
        index = index.clamp(max=objectness.shape[1] - 1)
        found = rows_of(deltas, index).flatten(0, 1), references[index.flatten()]
        decoded = rpn.coder.decode(*found).unflatten(0, (-1, count))
        cut = clipped(decoded, limits.unsqueeze(1))
        kept = suppress(cut, torch.zeros_like(index), 1, selection.nms_iou)
        if selection.min_side > 0:
            kept = kept & large_enough(cut, selection.min_side)
        boxes.append(cut)
        scores.append(torch.where(kept, best, -torch.inf))
    total = min(selection.total, count * len(boxes))
    best, index = torch.cat(scores, dim=1).topk(total, dim=1)
    return rows_of(torch.cat(boxes, dim=1), index), best
