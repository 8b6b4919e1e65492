"""Softmax cross-entropy over C + 1 classes: the baseline of every table (Faster R-CNN 2015)."""

from torch import Tensor
from torch.nn import functional

from bacl.detectors.full_precision import in_float32
from bacl.losses.base import ClassificationLoss


class SoftmaxCrossEntropy(ClassificationLoss):
    """-log softmax(z)[label], background as class C; its gradient is Eq. 1."""

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Sum over rows of logits (R, C + 1), divided by R."""
        total = functional.cross_entropy(in_float32(logits), labels, reduction="sum")
        return total / max(1, len(labels))

    def probabilities(self, logits: Tensor) -> Tensor:
        """Softmax of (R, C + 1)."""
        return in_float32(logits).softmax(dim=1)
