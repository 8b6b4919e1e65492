"""The mask head of Mask R-CNN (He et al., 2017, Fig. 4 right) and its last layer.

P: RoIs. C: foreground classes. s: side of a pooled RoI; masks have twice that side.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bacl.options.ranges import Layers, Positive, Width


class PlainMaskPredictor(nn.Module):
    """A 1×1 convolution to a mask of every class, computed for the wanted class only.

    Args:
        in_channels: of the features.
        num_classes: C.
    """

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_classes, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(num_classes))
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Logits (P, h, w) of class `labels` (P,) for features (P, channels, h, w).

        The masks of the C - 1 other classes enter neither loss nor result; with a thousand classes
        they would be most of the head's work.
        """
        weight = self.weight.flatten(1).index_select(0, labels)
        return self._products(features, weight) + self.bias.index_select(0, labels)[:, None, None]

    def _products(self, features: Tensor, weight: Tensor) -> Tensor:
        """Inner products (P, h, w) along the channels with weight (P, channels)."""
        products = torch.bmm(weight.unsqueeze(1), features.flatten(2))
        return products.view(features.shape[0], *features.shape[2:])


class NormalisedMaskPredictor(PlainMaskPredictor):
    """Cosine logits: temperature · cos(x, W) + b, at every position (the published Mask configs).

    Neither the length of a class's weights nor that of the features matters. Both norms have 1e-6
    added, as in the published layer.

    Args:
        in_channels: of the features.
        num_classes: C.
        temperature: factor of the cosine.
    """

    def __init__(self, in_channels: int, num_classes: int, temperature: Positive) -> None:
        super().__init__(in_channels, num_classes)
        self.temperature = temperature

    def _products(self, features: Tensor, weight: Tensor) -> Tensor:
        lengths = features.norm(dim=1) + 1e-6
        directions = weight / (weight.norm(dim=1, keepdim=True) + 1e-6)
        return self.temperature * super()._products(features, directions) / lengths


class MaskHead(nn.Module):
    """3×3 convolutions with ReLU, an upsampling by two, and the predictor.

    Args:
        in_channels: of the pooled RoIs.
        num_classes: C.
        layers: number of 3×3 convolutions.
        channels: of every layer.
        predictor: makes the last layer from (channels, C).
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        layers: Layers,
        channels: Width,
        predictor: Callable[[int, int], PlainMaskPredictor],
    ) -> None:
        super().__init__()
        widths = [in_channels] + [channels] * layers
        self.convs = nn.ModuleList(
            nn.Conv2d(before, after, kernel_size=3, padding=1) for before, after in pairwise(widths)
        )
        self.upsample = nn.ConvTranspose2d(widths[-1], channels, kernel_size=2, stride=2)
        self.predictor = predictor(channels, num_classes)
        for layer in (*self.convs, self.upsample):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)

    def forward(self, pooled: Tensor, labels: Tensor) -> Tensor:
        """Mask logits (P, 2s, 2s) float32 of class `labels` (P,) int64 in [0, C).

        Args:
            pooled: (P, in_channels, s, s).
            labels: the class whose mask is wanted of each RoI.
        """
        features = pooled
        for layer in self.convs:
            features = F.relu(layer(features), inplace=True)
        features = F.relu(self.upsample(features), inplace=True)
        return self.predictor(features, labels).float()
