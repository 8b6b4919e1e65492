"""C2AM (Wang et al., CVPR 2022): angular margins between classes from the lengths of their weights.

There is no official code; what the paper leaves open is decided here, and said.
P: foreground rows.
"""

import math

import torch
from torch import Tensor

from bacl.detectors.full_precision import in_float32
from bacl.indicators import LongTermIndicator
from bacl.losses.cosines import CosineSoftmax
from bacl.losses.rows import Rows
from bacl.options.ranges import Classes, NotNegative

SMALLEST = 1e-12
"""Added to the square of a sine before its root is taken, whose derivative is then finite."""


class C2AM(CosineSoftmax):
    """Softmax of scaled cosines; in a row of class i, class j is turned towards it by a margin.

    The logit s cos(theta_j) becomes s cos(theta_j + m_ij), m_ij = max(0, alpha / pi ·
    log(|w_i| / |w_j|)): classes of shorter weights, which are the rarer ones, are suppressed less.
    The lengths are those of the stored weights. Logits do not depend on them, but steps and weight
    decay change them; they carry no gradient.

    Decided here: background takes part without margins, neither in its own rows nor in others;
    probabilities are those of the logits without margins; theta + m may exceed pi, since margins
    are a fraction of a radian.

    Args:
        num_classes: C.
        alpha: factor of the margins.
        indicator: see `ClassificationLoss`.
    """

    def __init__(
        self, num_classes: Classes, alpha: NotNegative, indicator: LongTermIndicator | None = None
    ) -> None:
        super().__init__(num_classes, indicator)
        self.alpha = alpha

    def forward(self, logits: Tensor, labels: Tensor, rows: Rows) -> Tensor:  # type: ignore[override]
        """Cross-entropy of turned logits (R, C + 1), summed over rows, divided by R."""
        logits = in_float32(logits)
        foreground = (labels < self.num_classes).nonzero().squeeze(1)
        margins = self.margins(rows, labels[foreground]).to(logits.dtype)
        turned = logits.clone()
        own = logits[foreground, : self.num_classes]
        turned[foreground, : self.num_classes] = _turned(own, margins, self.scale(rows))
        return super().forward(turned, labels)

    @torch.no_grad()
    def margins(self, rows: Rows, labels: Tensor) -> Tensor:
        """(P, C) radians for rows of classes (P,) in [0, C): m; zero for the own class."""
        weight = rows.predictor.get_parameter("weight")[: self.num_classes]
        lengths = in_float32(weight).norm(dim=1).clamp(min=SMALLEST).log()
        return self.alpha / math.pi * (lengths[labels].unsqueeze(1) - lengths).clamp(min=0)


def _turned(logits: Tensor, margins: Tensor, scale: float) -> Tensor:
    """Logits s cos(theta + m) of s cos(theta) and margins m >= 0, (P, C) each."""
    sines = (1 - (logits / scale).square()).clamp(min=0).add(SMALLEST).sqrt()
    return logits * margins.cos() - scale * sines * margins.sin()
