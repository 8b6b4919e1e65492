"""A memory of features per class: the last ones of each, in a ring.

N: features. D: their width. C: foreground classes.
"""

import torch
from torch import Tensor, nn

from bacl.processes.class_sums import rows_per_class
from bacl.processes.gathered_rows import gather_rows


class ClassMemory(nn.Module):
    """Keeps the latest features of every class; the oldest makes room for a new one.

    Its rings are buffers: a resumed run continues exactly. They take C · size · D · 4 bytes, also
    of a checkpoint: 394 MB for LVIS v1.0 with D = 1024 and size 80. They are the same on all
    processes where these push what `features_of_all` gathers.

    Args:
        num_classes: C.
        size: features of each class.
        feature_dim: D.
    """

    rings: Tensor
    """(C, size, D) float32; zeros where nothing was written yet."""
    written: Tensor
    """(C,) int64: features of each class so far."""

    def __init__(self, num_classes: int, size: int, feature_dim: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("rings", torch.zeros(num_classes, size, feature_dim))
        self.register_buffer("written", torch.zeros(num_classes, dtype=torch.int64))

    @torch.no_grad()
    def push(self, features: Tensor, labels: Tensor) -> None:
        """Write features (N, D) of labels (N,) int64 in [0, C), in order."""
        counts = rows_per_class(labels, len(self.written))
        order = labels.argsort(stable=True)
        own = labels[order]
        place = torch.arange(len(own), device=own.device) - (counts.cumsum(0) - counts)[own]
        if len(own) > self.size:  # of more than a ring holds, only the last
            kept = (place >= counts[own] - self.size).nonzero().squeeze(1)
            order, own, place = order[kept], own[kept], place[kept]
        slots = (self.written[own] + place) % self.size
        self.rings[own, slots] = features[order].float()
        self.written += counts

    def filled(self) -> Tensor:
        """(C,) int64 in [0, size]: features that each class has."""
        return self.written.clamp(max=self.size)

    def latest(self, labels: Tensor, ages: Tensor) -> Tensor:
        """(N, D): of classes (N,) the features so many writes ago, (N,) int64 below `filled`."""
        return self.rings[labels, (self.written[labels] - 1 - ages) % self.size]


def features_of_all(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Features (N, D) and labels (N,) of all processes, in their order, the same on each.

    Every process calls it together, also one without features.
    """
    # A label is exact in float32, and one sum is quicker than two.
    packed = gather_rows(torch.cat((features.float(), labels.float().unsqueeze(1)), dim=1))
    return packed[:, :-1], packed[:, -1].long()
