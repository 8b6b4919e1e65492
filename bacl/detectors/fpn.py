"""Feature pyramids of a backbone's maps, and the network of Lin et al. (CVPR 2017)."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from bacl.options.ranges import Width

STRIDES = (4, 8, 16, 32, 64)
"""Of a pyramid's levels over most backbones, in pixels of the network's input."""


class Pyramid(nn.Module, ABC):
    """A backbone's maps to levels of one width; it is built of the maps' channels.

    Attributes:
        channels: of every level.
        keeps_zeros: as of a backbone.
    """

    channels: int
    keeps_zeros: bool = False

    @abstractmethod
    def strides(self, maps: Sequence[int]) -> tuple[int, ...]:
        """Pixels of the network's input between two cells of each level.

        Args:
            maps: the same of the backbone's maps.
        """

    @abstractmethod
    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Levels (B, channels, H_l, W_l), finest first, of the backbone's maps."""


class FeaturePyramid(Pyramid):
    """Lateral 1×1 convolutions, top-down sums, 3×3 output convolutions, and one coarser level.

    Args:
        in_channels: of the backbone's features, finest first.
        channels: of every pyramid level.
        norm: makes a normalisation layer behind each convolution, which then has no bias, from its
            channels; None for none.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: Width,
        norm: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.channels = channels
        bias = norm is None
        self.lateral = nn.ModuleList(
            nn.Conv2d(width, channels, 1, bias=bias) for width in in_channels
        )
        self.output = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1, bias=bias) for _ in in_channels
        )
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
            else:
                nn.init.zeros_(parameter)
        norms = [] if norm is None else [norm(channels) for _ in (*in_channels, *in_channels)]
        self.keeps_zeros = all(isinstance(norm, nn.BatchNorm2d) for norm in norms)
        self.lateral_norms = nn.ModuleList(norms[: len(in_channels)])
        self.output_norms = nn.ModuleList(norms[len(in_channels) :])

    def strides(self, maps: Sequence[int]) -> tuple[int, ...]:
        """Those of the maps, and twice the last."""
        return (*maps, 2 * maps[-1])

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """One map (B, channels, H_l, W_l) per feature map, and a last one of twice its stride."""
        laterals = _through(self.lateral, self.lateral_norms, features)
        top = laterals[-1]
        merged = [top]
        for lateral in laterals[-2::-1]:
            top = lateral + F.interpolate(top, size=lateral.shape[-2:], mode="nearest")
            merged.append(top)
        pyramid = _through(self.output, self.output_norms, merged[::-1])
        return (*pyramid, F.max_pool2d(pyramid[-1], kernel_size=1, stride=2))


def _through(
    layers: Iterable[nn.Module], norms: Iterable[nn.Module], maps: Sequence[Tensor]
) -> list[Tensor]:
    """Each map through its layer, and through the norm behind it where there are any."""
    found = [layer(x) for layer, x in zip(layers, maps, strict=True)]
    behind = list(norms)
    return [norm(x) for norm, x in zip(behind, found, strict=True)] if behind else found
