"""The RoI feature extractor of Faster R-CNN."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from bacl.detectors.full_precision import in_float32
from bacl.options.ranges import Layers


class BoxHead(nn.Module):
    """Fully connected layers with ReLU; the last one's output is the RoI feature h of the paper.

    Args:
        in_channels: of the pooled RoIs.
        side: of the pooled RoIs.
        feature_dim: D, width of every layer.
        layers: number of layers.
    """

    def __init__(self, in_channels: int, side: int, feature_dim: int, layers: Layers) -> None:
        super().__init__()
        widths = [in_channels * side * side] + [feature_dim] * layers
        self.shared_fcs = nn.ModuleList(
            nn.Linear(before, after) for before, after in pairwise(widths)
        )
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
            else:
                nn.init.zeros_(parameter)

    def forward(self, pooled: Tensor) -> Tensor:
        """Non-negative features (R, D), float32 at least, of RoIs (R, channels, side, side)."""
        features = pooled.flatten(1)
        for layer in self.shared_fcs:
            features = F.relu(layer(features), inplace=True)
        return in_float32(features)
