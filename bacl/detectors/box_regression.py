"""Box regression, for every class or one for all.

R: sampled RoIs. P: positive ones among them. C: foreground classes. D: width of an RoI feature.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bacl.detectors.boxes import BoxCoder
from bacl.detectors.full_precision import precisely
from bacl.detectors.matching import SampledRoIs
from bacl.options.ranges import NotNegative


class BoxRegression(nn.Module):
    """One linear layer to four deltas per class (Fast R-CNN 2015), trained with a smooth L1 loss.

    Args:
        feature_dim: D.
        num_classes: C.
        coder: between boxes and deltas.
        beta: errors below it enter the loss as their square over 2 beta; 0 for the L1 loss.
        class_agnostic: four deltas for all classes together (Cascade R-CNN 2018, Sec. 3.1).
    """

    def __init__(
        self,
        feature_dim: int,
        num_classes: int,
        coder: BoxCoder,
        beta: NotNegative = 0.0,
        class_agnostic: bool = False,
    ) -> None:
        super().__init__()
        self.coder = coder
        self.beta = beta
        self.class_agnostic = class_agnostic
        self.fc = nn.Linear(feature_dim, 4 if class_agnostic else 4 * num_classes)
        nn.init.normal_(self.fc.weight, std=0.001)
        nn.init.zeros_(self.fc.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Deltas (R, 4 C) float32 of every class for features (R, D), or (R, 4) of all."""
        return precisely(self.fc, features)

    def loss(self, features: Tensor, rois: SampledRoIs) -> Tensor:
        """Sum of the smooth L1 of deltas - targets over the positives, divided by all R.

        Only the deltas of a positive's own class enter, so only those are computed: P × 4 instead
        of R × 4 C, with the same value and gradient.
        """
        positives = rois.foreground
        deltas = precisely(self._own_class, features[positives], rois.labels[positives])
        boxes = rois.all_boxes[positives]
        targets = self.coder.encode(rois.object_boxes[positives], boxes)
        total = F.smooth_l1_loss(deltas.float(), targets, reduction="sum", beta=self.beta)
        return total / max(len(features), 1)

    def _own_class(self, features: Tensor, labels: Tensor) -> Tensor:
        """Deltas (P, 4) of class `labels` (P,) for features (P, D)."""
        if self.class_agnostic:
            return self.fc(features)
        weight = self.fc.weight.unflatten(0, (-1, 4)).flatten(1).index_select(0, labels)
        bias = self.fc.bias.unflatten(0, (-1, 4)).index_select(0, labels)
        products = torch.bmm(weight.unflatten(1, (4, -1)), features.unsqueeze(2))
        return products.squeeze(2) + bias
