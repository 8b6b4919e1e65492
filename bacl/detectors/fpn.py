"""Feature pyramid network (Lin et al., CVPR 2017)."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from bacl.options.ranges import Width

STRIDES = (4, 8, 16, 32, 64)
"""Of the pyramid's levels, in pixels of the network's input."""


class FeaturePyramid(nn.Module):
    """Lateral 1×1 convolutions, top-down sums, 3×3 output convolutions, and one coarser level.

    Args:
        in_channels: of the backbone's features, finest first.
        channels: of every pyramid level.
    """

    def __init__(self, in_channels: Sequence[int], channels: Width) -> None:
        super().__init__()
        self.channels = channels
        self.lateral = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in in_channels)
        self.output = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1) for _ in in_channels
        )
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
            else:
                nn.init.zeros_(parameter)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """One map (B, channels, H_l, W_l) per feature map, and a last one of twice its stride."""
        laterals = [layer(x) for layer, x in zip(self.lateral, features, strict=True)]
        top = laterals[-1]
        merged = [top]
        for lateral in laterals[-2::-1]:
            top = lateral + F.interpolate(top, size=lateral.shape[-2:], mode="nearest")
            merged.append(top)
        pyramid = [layer(x) for layer, x in zip(self.output, reversed(merged), strict=True)]
        return (*pyramid, F.max_pool2d(pyramid[-1], kernel_size=1, stride=2))
