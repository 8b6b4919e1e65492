"""An RoI feature extractor with convolutions (Group Normalization, ECCV 2018, Sec. 4.2)."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from bacl.detectors.box_head import BoxHead
from bacl.options.ranges import Layers, Width


class ConvolutionalBoxHead(BoxHead):
    """3×3 convolutions with a norm and ReLU, then the fully connected layers of a `BoxHead`.

    Args:
        in_channels: of the pooled RoIs.
        side: of the pooled RoIs.
        feature_dim: D, width of every fully connected layer.
        layers: number of fully connected layers.
        convolutions: number of convolutions.
        channels: of every convolution.
        norm: makes the layer behind a convolution, which has no bias, from its channels.
    """

    def __init__(
        self,
        in_channels: int,
        side: int,
        feature_dim: int,
        layers: Layers,
        convolutions: Layers,
        channels: Width,
        norm: Callable[[int], nn.Module],
    ) -> None:
        super().__init__(channels, side, feature_dim, layers)
        widths = [in_channels] + [channels] * (convolutions - 1)
        convs = [nn.Conv2d(width, channels, 3, padding=1, bias=False) for width in widths]
        for layer in convs:
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        self.convs = nn.ModuleList(convs)
        self.norms = nn.ModuleList(norm(channels) for _ in widths)

    def forward(self, pooled: Tensor) -> Tensor:
        """Non-negative features (R, D) of pooled RoIs (R, in_channels, side, side)."""
        for layer, norm in zip(self.convs, self.norms, strict=True):
            pooled = F.relu(norm(layer(pooled)), inplace=True)
        return super().forward(pooled)
