"""Class-specific box regression.

R: sampled RoIs. P: positive ones among them. C: foreground classes. D: width of an RoI feature.
"""

import torch
from torch import Tensor, nn

from bacl.detectors.boxes import BoxCoder
from bacl.detectors.matching import BACKGROUND, SampledRoIs


class BoxRegression(nn.Module):
    """One linear layer to four deltas per class (Fast R-CNN 2015), trained with the L1 loss.

    Args:
        feature_dim: D.
        num_classes: C.
        coder: between boxes and deltas.
    """

    def __init__(self, feature_dim: int, num_classes: int, coder: BoxCoder) -> None:
        super().__init__()
        self.coder = coder
        self.fc = nn.Linear(feature_dim, 4 * num_classes)
        nn.init.normal_(self.fc.weight, std=0.001)
        nn.init.zeros_(self.fc.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Deltas (R, 4 C) float32 of every class for features (R, D)."""
        return self.fc(features).float()

    def loss(self, features: Tensor, rois: SampledRoIs) -> Tensor:
        """Sum of |deltas - targets| over the positives, divided by all R.

        Only the deltas of a positive's own class enter, so only those are computed: P × 4 instead
        of R × 4 C, with the same value and gradient.
        """
        positives = (rois.objects != BACKGROUND).nonzero().flatten()
        deltas = self._own_class(features[positives], rois.labels[positives])
        boxes = torch.cat(rois.boxes)[positives]
        targets = self.coder.encode(rois.object_boxes[positives], boxes)
        return (deltas.float() - targets).abs().sum() / max(len(features), 1)

    def _own_class(self, features: Tensor, labels: Tensor) -> Tensor:
        """Deltas (P, 4) of class `labels` (P,) for features (P, D)."""
        weight = self.fc.weight.unflatten(0, (-1, 4)).flatten(1).index_select(0, labels)
        bias = self.fc.bias.unflatten(0, (-1, 4)).index_select(0, labels)
        products = torch.bmm(weight.unflatten(1, (4, -1)), features.unsqueeze(2))
        return products.squeeze(2) + bias
