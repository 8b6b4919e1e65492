"""The convolutions of the region proposal network, densely and at chosen anchors.

B: images. C: channels of the pyramid. A: anchors per position. S: chosen anchors.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, starmap

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bacl.detectors.cast_weights import in_step
from bacl.detectors.full_precision import in_float32, precisely
from bacl.detectors.transfers import Awaited, sent


@dataclass(slots=True)
class Neighbourhoods:
    """Of S chosen anchors, in ascending order: so the pyramid's gradients sum in one order."""

    rows: Tensor
    """(S, 9) int64, the positions of a neighbourhood, image H W + y W + x of their own level."""
    inside: Tensor
    """(S, 9) bool; the others are outside of the feature map, and stand for zeros."""
    below: Callable[[], list[int]]
    """How many lie on the first level, on the first two, and so on."""
    back: Tensor
    """(S,) int64, from this order to that in which the anchors were given."""
    anchors: Tensor
    """(S,) int64, as they were given."""

    def patches(self, pyramid: Sequence[Tensor]) -> Tensor:
        """Values (S, 9 C) of pyramid levels (B, C, H_l, W_l), for the anchors as given."""
        channels = pyramid[0].shape[1]
        parts = [
            # A view where channels lie last in memory, as the pyramid's do.
            x.permute(0, 2, 3, 1).reshape(-1, channels).index_select(0, self.rows[own].flatten())
            for x, own in zip(pyramid, starmap(slice, pairwise((0, *self.below()))), strict=True)
        ]
        values = torch.cat(parts) * self.inside.flatten().unsqueeze(1)
        return values.view(-1, 9 * channels)[self.back]


class RPNHead(nn.Module):
    """3×3 convolutions with ReLU, then objectness and box deltas of A anchors at every position.

    Args:
        in_channels: C.
        channels: of the 3×3 convolutions.
        anchors: A.
        layers: number of 3×3 convolutions. Of several, all but the last are computed densely in
            training, too.
    """

    steps: Tensor
    """(9, 2) int64, rows and columns from a position to those around it."""

    def __init__(self, in_channels: int, channels: int, anchors: int, layers: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.more = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1) for _ in range(layers - 1)
        )
        self.objectness = nn.Conv2d(channels, anchors, 1)
        self.deltas = nn.Conv2d(channels, 4 * anchors, 1)
        steps = torch.cartesian_prod(torch.arange(-1, 2), torch.arange(-1, 2))
        self.register_buffer("steps", steps, persistent=False)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.01)
            else:
                nn.init.zeros_(parameter)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Objectness logits (B, H W A) and deltas (B, H W A, 4) of one level (B, C, H, W)."""
        hidden = features
        for layer in self._layers:
            hidden = F.relu(layer(hidden), inplace=True)
        objectness = self.objectness(hidden).permute(0, 2, 3, 1)
        deltas = self.deltas(hidden).permute(0, 2, 3, 1)
        return objectness.flatten(1), deltas.unflatten(3, (-1, 4)).flatten(1, 3)

    @property
    def _layers(self) -> list[nn.Conv2d]:
        return [self.conv, *self.more]

    def find(
        self, shapes: Sequence[tuple[int, int]], images: Tensor, anchors: Tensor, awaited: Awaited
    ) -> Neighbourhoods:
        """Where the 3×3 neighbourhoods of chosen anchors lie.

        Args:
            shapes: (H_l, W_l) of each level.
            images: (S,) int64 in [0, B).
            anchors: (S,) int64, index among the anchors of an image, levels one after the other.
            awaited: fetches how many of them lie on each level.
        """
        ordered, order = anchors.sort()
        sides = np.array(shapes, dtype=np.int64).T
        counts = sides.prod(axis=0) * self.objectness.out_channels
        ends = counts.cumsum()
        levels = sent(np.stack((ends, ends - counts, *sides, *(sides - 1))), anchors.device)
        below = awaited.later(torch.searchsorted(ordered, levels[0]))
        own = levels[1:].index_select(1, torch.searchsorted(levels[0], ordered, right=True))
        first, height, width = own[:3]
        position = (ordered - first) // self.objectness.out_channels
        centre = torch.stack((position // width, position % width), dim=1)
        places = centre.unsqueeze(1) + self.steps
        nearest = places.clamp(min=0).minimum(own[3:].t().unsqueeze(1))
        row = images[order] * height
        rows = (row.unsqueeze(1) + nearest[:, :, 0]) * width.unsqueeze(1) + nearest[:, :, 1]
        inside = (places == nearest).all(dim=2)
        return Neighbourhoods(rows, inside, below, order.argsort(), anchors)

    def at(
        self, pyramid: Sequence[Tensor], found: Neighbourhoods, positives: int
    ) -> tuple[Tensor, Tensor]:
        """Logits (S,) of chosen anchors and deltas (positives, 4): entries of what `forward` gives.

        Args:
            pyramid: (B, C, H_l, W_l) per level.
            found: from `find`.
            positives: of the chosen anchors so many, the first ones, have deltas.
        """
        *before, last = self._layers
        for layer in before:
            pyramid = [F.relu(layer(x), inplace=True) for x in pyramid]
        patches = found.patches(pyramid)
        weight, bias = in_step(*last.parameters())
        hidden = F.relu(F.linear(patches, weight.permute(0, 2, 3, 1).flatten(1), bias))
        hidden = in_float32(hidden)
        logits, deltas = (
            precisely(partial(_at_positions, layer), hidden)
            for layer in (self.objectness, self.deltas)
        )
        size, per_position = logits.shape
        firsts = torch.arange(0, size * per_position, per_position, device=logits.device)
        rows = firsts + found.anchors % per_position
        return logits.flatten()[rows], deltas.view(-1, 4)[rows[:positives]]


def _at_positions(layer: nn.Conv2d, features: Tensor) -> Tensor:
    """(S, O) of a 1×1 convolution, for the features (S, I) of positions."""
    return F.linear(features, layer.weight.flatten(1), layer.bias)
