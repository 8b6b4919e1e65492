"""Classification losses, one paper per file.

Imports: indicators, options.
"""

from bacl.losses.base import ClassificationLoss
from bacl.losses.bce import BinaryCrossEntropy, BinaryCrossEntropyWithObjectness
from bacl.losses.cross_entropy import SoftmaxCrossEntropy
from bacl.losses.eqlv2 import EQLv2
from bacl.losses.fcbl import FCBL
from bacl.losses.seesaw import Seesaw

__all__ = [
    "FCBL",
    "BinaryCrossEntropy",
    "BinaryCrossEntropyWithObjectness",
    "ClassificationLoss",
    "EQLv2",
    "Seesaw",
    "SoftmaxCrossEntropy",
]
