"""Batch norms that do not look at the batch."""

from torch import nn

from bacl.options.ranges import NotNegative


class FixedNorm(nn.BatchNorm2d):
    """A batch norm whose statistics stay as they were loaded; its weight and bias still learn.

    For layers that come trained: a few images per step would give worse statistics.

    Args:
        channels: of the feature maps.
        eps: added to the variances; 0 where published weights were trained without.
    """

    def __init__(self, channels: int, eps: NotNegative = 1e-5) -> None:
        super().__init__(channels, eps=eps)
        self.eval()

    def train(self, mode: bool = True) -> "FixedNorm":
        """Always in eval mode."""
        super().train(False)
        return self
