"""tau-normalisation (Kang et al., "Decoupling Representation and Classifier …", ICLR 2020)."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from bacl.detectors.full_precision import in_float32
from bacl.detectors.levels import Level
from bacl.heads.calibration import Calibration
from bacl.messages.errors import OptionError
from bacl.options.ranges import Classes, NotNegative

SMALLEST = 1e-12
"""Of a norm that divides."""


class TauNorm(Calibration):
    """Weights of every foreground class divided by their norm to the power of tau (Sec. 4.2).

    Frequent classes have the longer weights. The paper leaves out the bias, and knows no
    background, whose logit here stays as it is: so do those who took the method to detectors (Li
    et al., "Balanced Group Softmax", CVPR 2020, published code), and keep the bias.

    Args:
        num_classes: C.
        tau: 0 leaves the weights as they are, 1 makes all of them as long.
        bias: whether that of the foreground classes is kept; where it holds a prior, as of sigmoid
            losses, nothing goes without.
    """

    changes_logits = True

    def __init__(self, num_classes: Classes, tau: NotNegative, bias: bool) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.tau = tau
        self.bias = bias

    def mean(self, logits: Sequence[Tensor], predictors: Sequence[nn.Module]) -> Tensor:
        """See `Calibration`.

        Raises:
            OptionError: a classifier is no linear layer, whose weights its logits are divided by.
        """
        return super().mean(list(map(self.divided, logits, predictors)), predictors)

    def divided(self, logits: Tensor, predictor: nn.Module) -> Tensor:
        """(R, K) logits as if the weights that made them had been divided."""
        if type(predictor) is not nn.Linear:
            raise OptionError(
                f"tau_norm divides the weights of a linear layer, and this classifier is a "
                f"{type(predictor).__name__}: calibrate another head, or choose another calibration"
            )
        own, others = logits[:, : self.num_classes], logits[:, self.num_classes :]
        norms = in_float32(predictor.weight)[: self.num_classes].norm(dim=1).clamp(min=SMALLEST)
        bias = 0.0 if predictor.bias is None else in_float32(predictor.bias)[: self.num_classes]
        scaled = (own - bias) / norms.pow(self.tau)
        return torch.cat((scaled + bias if self.bias else scaled, others), dim=1)

    def forward(
        self, logits: Tensor, probabilities: Callable[[Tensor], Tensor], level: Level
    ) -> Tensor:
        """See `Calibration`."""
        return probabilities(logits)
