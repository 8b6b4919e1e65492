"""What losses of scaled cosines share: softmax over logits s cos(theta) of C + 1 classes."""

import torch
from torch import Tensor, nn

from bacl.losses.cross_entropy import SoftmaxCrossEntropy
from bacl.losses.rows import Rows
from bacl.messages.errors import OptionError


class CosineSoftmax(SoftmaxCrossEntropy):
    """Softmax cross-entropy of logits that a predictor makes as scaled cosines.

    Its `forward` is given the rows, whose predictor knows the scale.
    """

    reads_rows = True

    def initialise(self, predictor: nn.Module) -> None:
        """See `ClassificationLoss.initialise`.

        Raises:
            OptionError: the logits are no scaled cosines, and have no angles.
        """
        if not hasattr(predictor, "cosine_scale"):
            raise OptionError(
                f"{type(self).__name__} turns angles between features and classes, which the "
                "logits of this head have not: take +predictor@head.predictor=cosine"
            )
        super().initialise(predictor)

    @torch.no_grad()
    def observe(self, logits: Tensor, labels: Tensor, rows: Rows | None = None) -> None:
        """As any loss: nothing is gathered of the rows."""
        super().observe(logits, labels)

    def scale(self, rows: Rows) -> float:
        """The s of the predictor."""
        return float(rows.predictor.cosine_scale)  # type: ignore[arg-type]
