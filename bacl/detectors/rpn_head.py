"""The convolutions of the region proposal network, densely and at chosen anchors.

B: images. C: channels of the pyramid. A: anchors per position. S: chosen anchors.
"""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class RPNHead(nn.Module):
    """A 3×3 convolution with ReLU, then objectness and box deltas of A anchors at every position.

    Args:
        in_channels: C.
        channels: of the 3×3 convolution.
        anchors: A.
    """

    def __init__(self, in_channels: int, channels: int, anchors: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.objectness = nn.Conv2d(channels, anchors, 1)
        self.deltas = nn.Conv2d(channels, 4 * anchors, 1)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.01)
            else:
                nn.init.zeros_(parameter)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Objectness logits (B, H W A) and deltas (B, H W A, 4) of one level (B, C, H, W)."""
        hidden = F.relu(self.conv(features), inplace=True)
        objectness = self.objectness(hidden).permute(0, 2, 3, 1)
        deltas = self.deltas(hidden).permute(0, 2, 3, 1)
        return objectness.flatten(1), deltas.unflatten(3, (-1, 4)).flatten(1, 3)

    def at(
        self, pyramid: Sequence[Tensor], images: Tensor, anchors: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits (S,) and deltas (S, 4) of chosen anchors: entries of what `forward` returns.

        Args:
            pyramid: (B, C, H_l, W_l) per level.
            images: (S,) int64 in [0, B).
            anchors: (S,) int64, index among the anchors of an image, levels one after the other.
        """
        anchors, order = anchors.sort()
        patches = self._patches(pyramid, images[order], anchors)[order.argsort()]
        weight = self.conv.weight.permute(0, 2, 3, 1).flatten(1)
        hidden = F.relu(F.linear(patches, weight, self.conv.bias))
        logits = F.linear(hidden, self.objectness.weight.flatten(1), self.objectness.bias)
        deltas = F.linear(hidden, self.deltas.weight.flatten(1), self.deltas.bias)
        per_position = logits.shape[1]
        anchor = anchors[order.argsort()] % per_position
        rows = torch.arange(len(anchor), device=anchor.device)
        return logits[rows, anchor], deltas.unflatten(1, (per_position, 4))[rows, anchor]

    def _patches(self, pyramid: Sequence[Tensor], images: Tensor, anchors: Tensor) -> Tensor:
        """3×3 neighbourhoods (S, 9 C) of ascending `anchors`, zero outside of the feature map."""
        per_position = self.objectness.out_channels
        counts = [x.shape[2] * x.shape[3] * per_position for x in pyramid]
        ends = [torch.searchsorted(anchors, end) for end in accumulate(counts)]
        borders = [0, *torch.stack(ends).tolist()]
        patches, first = [], 0
        for level, features in enumerate(pyramid):
            rows = slice(borders[level], borders[level + 1])
            positions = (anchors[rows] - first) // per_position
            patches.append(_neighbourhoods(features, images[rows], positions))
            first += counts[level]
        return torch.cat(patches)


def _neighbourhoods(features: Tensor, images: Tensor, positions: Tensor) -> Tensor:
    """3×3 neighbourhoods (·, 9 C) around positions y W + x of feature maps (B, C, H, W)."""
    channels, height, width = features.shape[1:]
    step = torch.arange(-1, 2, device=positions.device)
    y = (positions // width).view(-1, 1, 1) + step.view(1, 3, 1)
    x = (positions % width).view(-1, 1, 1) + step.view(1, 1, 3)
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    y, x = y.clamp(0, height - 1), x.clamp(0, width - 1)
    index = (images.view(-1, 1, 1) * height + y) * width + x
    # A view where channels lie last in memory, as the pyramid's do.
    rows = features.permute(0, 2, 3, 1).reshape(-1, channels)
    values = rows.index_select(0, index.flatten()) * inside.flatten().unsqueeze(1)
    return values.view(-1, 9 * channels)
