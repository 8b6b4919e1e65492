"""A pyramid from one feature map (ViTDet: Li et al., ECCV 2022, Sec. 3 and A.2)."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.convnext import LayerNorm2d

from bacl.detectors.fpn import Pyramid
from bacl.messages.errors import OptionError
from bacl.options.ranges import Width

EPSILON = 1e-6
"""Of the layer norms, as published."""


class SimpleFeaturePyramid(Pyramid):
    """Strides 4, 8, 16, 32 and 64 from the last map of a plain ViT, of stride 16.

    Stride 4 is made by two deconvolutions (2×2, stride 2, half the channels each) with a layer norm
    and a GELU between them, stride 8 by one, stride 32 by max-pooling. Each then goes through a
    1×1 and a 3×3 convolution to `channels`, without bias, with a layer norm over the channels
    behind each. The fifth level takes every second position of the fourth, as in the FPN.

    Args:
        in_channels: of the backbone's only map.
        channels: of every pyramid level.

    Raises:
        OptionError: the backbone gives several maps, or fewer than 4 channels.
    """

    def __init__(self, in_channels: Sequence[int], channels: Width) -> None:
        super().__init__()
        if len(in_channels) != 1 or in_channels[0] < 4:
            raise OptionError(
                f"a simple feature pyramid is made of one map of at least 4 channels, the backbone "
                f"has {list(in_channels)}; backbones with several take an FPN"
            )
        self.channels = channels
        (width,) = in_channels
        half, quarter = width // 2, width // 4
        twice = (_doubled(width, half), LayerNorm2d(half, EPSILON), nn.GELU())
        scaled: list[tuple[int, list[nn.Module]]] = [
            (quarter, [*twice, _doubled(half, quarter)]),
            (half, [_doubled(width, half)]),
            (width, []),
            (width, [nn.MaxPool2d(2, ceil_mode=True)]),
        ]
        self.levels = nn.ModuleList(
            nn.Sequential(*layers, *_output(own, channels)) for own, layers in scaled
        )

    def strides(self, maps: Sequence[int]) -> tuple[int, ...]:
        """A quarter of the map's to four times it."""
        (own,) = maps
        return (own // 4, own // 2, own, 2 * own, 4 * own)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Five maps (B, channels, ·, ·) of a map (B, D, H, W).

        Sides are 4, 2 and 1 times H and W, half of them and half of that, rounded up.
        """
        (x,) = features
        pyramid = [level(x) for level in self.levels]
        return (*pyramid, F.max_pool2d(pyramid[-1], kernel_size=1, stride=2))


def _doubled(width: int, channels: int) -> nn.Module:
    return nn.ConvTranspose2d(width, channels, kernel_size=2, stride=2)


def _output(width: int, channels: int) -> list[nn.Module]:
    return [
        nn.Conv2d(width, channels, 1, bias=False),
        LayerNorm2d(channels, EPSILON),
        nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        LayerNorm2d(channels, EPSILON),
    ]
