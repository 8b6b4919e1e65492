"""Classification losses, one paper per file."""

from bacl.losses.base import ClassificationLoss
from bacl.losses.bce import BinaryCrossEntropy, BinaryCrossEntropyWithObjectness
from bacl.losses.cross_entropy import SoftmaxCrossEntropy
from bacl.losses.fcbl import FCBL

__all__ = [
    "FCBL",
    "BinaryCrossEntropy",
    "BinaryCrossEntropyWithObjectness",
    "ClassificationLoss",
    "SoftmaxCrossEntropy",
]
