"""Box regression of rare categories, steadied by one that all categories share.

"Rectify the Regression Bias in Long-Tailed Object Detection" (ECCV 2024): a class-specific layer of
a category with a handful of objects is badly trained, whatever the classifier does.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Protocol

import torch
from annotated_types import Len
from torch import Tensor, nn

from bacl.detectors.box_regression import BoxRegression
from bacl.detectors.boxes import BoxCoder
from bacl.detectors.full_precision import precisely
from bacl.options.ranges import NotNegative


class FrequencyGroups(Protocol):
    """What is known of the categories: `CategoryStatistics` has it."""

    @property
    def frequency(self) -> Any:
        """(C,) r, c or f."""


class BlendedBoxRegression(BoxRegression):
    """The layer of a category is the mean of its own and of a shared one: W'_i = (W_0 + W_i) / 2.

    Of a linear layer the mean of the weights gives the mean of the deltas. Categories of other
    groups keep their own layer, and the shared one does not learn from them.

    Args:
        feature_dim: D.
        num_classes: C.
        coder: between boxes and deltas.
        statistics: of the training file.
        groups: whose categories are blended; all of them by default, so that the shared layer
            learns from every object.
        beta: see `BoxRegression`.
        class_agnostic: no; there would be nothing to blend.
    """

    blended: Tensor
    """(C,) bool."""

    def __init__(
        self,
        feature_dim: int,
        num_classes: int,
        coder: BoxCoder,
        statistics: FrequencyGroups,
        groups: Annotated[Sequence[Literal["r", "c", "f"]], Len(1)] = ("r", "c", "f"),
        beta: NotNegative = 0.0,
        class_agnostic: Literal[False] = False,
    ) -> None:
        super().__init__(feature_dim, num_classes, coder, beta, class_agnostic)
        self.shared = nn.Linear(feature_dim, 4)
        nn.init.normal_(self.shared.weight, std=0.001)
        nn.init.zeros_(self.shared.bias)
        chosen = [letter in groups for letter in statistics.frequency]
        self.register_buffer("blended", torch.tensor(chosen, dtype=torch.bool))

    def forward(self, features: Tensor) -> Tensor:
        """Deltas (R, 4 C) float32 of every class for features (R, D)."""
        return precisely(self._every_class, features)

    def _every_class(self, features: Tensor) -> Tensor:
        own = self.fc(features).unflatten(1, (-1, 4))
        shared = self.shared(features).unsqueeze(1)
        return torch.where(self.blended[:, None], (shared + own) / 2, own).flatten(1)

    def _own_class(self, features: Tensor, labels: Tensor) -> Tensor:
        own, shared = super()._own_class(features, labels), self.shared(features)
        return torch.where(self.blended[labels].unsqueeze(1), (shared + own) / 2, own)
