"""What predictors share that build on the classifier of an earlier stage and leave it as it is."""

from torch import nn

from bacl.heads.predictors import Predictor


class OnFrozenClassifier(Predictor):
    """A predictor on a linear classifier that it inherits, and that does not train.

    Started anew it would build on random weights: its head says `init: inherit`.

    Args:
        in_features: D.
        out_features: K.
    """

    needs_start = True

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.base = nn.Linear(in_features, out_features).requires_grad_(False)

    @property
    def classes(self) -> nn.Module:
        """The inherited layer."""
        return self.base
