"""Distribution alignment (DisAlign; Zhang et al., CVPR 2021): a calibration of a frozen classifier.

R: rows. K: logits, C + 1 of them, background last.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bacl.heads.frozen_classifier import OnFrozenClassifier
from bacl.losses.base import WEIGHT_DEVIATION


class DisAlign(OnFrozenClassifier):
    """Scales and shifts the foreground logits of a frozen classifier where it is confident to.

    With the frozen logits z and a confidence k = sigmoid(v · x + b) of each row, foreground class j
    becomes k (alpha_j z_j + beta_j) + (1 - k) z_j; background stays. Only alpha, beta, v and b
    train. The published form for detection; that for classification differs. At first it changes
    nothing: alpha is 1 and beta 0.

    Args:
        in_features: D.
        out_features: K.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.alpha = nn.Parameter(torch.ones(out_features - 1))
        self.beta = nn.Parameter(torch.zeros(out_features - 1))
        self.confidence = nn.Linear(in_features, 1)

    def initialise(self, by_loss: Callable[[nn.Module], None]) -> None:
        """The base as the loss says; v from N(0, 0.01) and b 0."""
        super().initialise(by_loss)
        nn.init.normal_(self.confidence.weight, std=WEIGHT_DEVIATION)
        nn.init.zeros_(self.confidence.bias)

    def forward(self, features: Tensor) -> Tensor:
        """(R, K) logits of features (R, D)."""
        logits = self.base(features)
        foreground, background = logits.split([len(self.alpha), 1], dim=1)
        aligned = self.alpha * foreground + self.beta
        confidence = self.confidence(features).sigmoid()
        return torch.cat((foreground.lerp(aligned.to(logits.dtype), confidence), background), dim=1)
