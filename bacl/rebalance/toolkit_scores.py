"""Scores as another toolkit makes them of a linear layer, and what can be put into its weights.

A head that is handed back is scored there by the toolkit's own rule, so it is judged by that one
here. A calibration that changes rows of the layer goes with them; no other could.

R: rows. C: foreground classes. D: width of a feature. The logits are C + 1, background last.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from bacl.detectors.full_precision import in_float32
from bacl.detectors.levels import Level
from bacl.heads.calibration import TrainingStatistics
from bacl.heads.calibrations.counted import Counted, CountedCalibration
from bacl.losses.base import ClassificationLoss
from bacl.messages.errors import OptionError
from bacl.options.ranges import Classes, NotNegative

SMALLEST = 1e-12
"""Of a norm that divides."""


class ToolkitScores(CountedCalibration):
    """Scores of logits whose rows were divided and shifted by class.

    Foreground rows are divided by their length to the power of tau (Kang et al., ICLR 2020; the
    bias is kept), and gamma · log n is taken from their logits, n how often the category was
    trained on. With neither, the scores are the toolkit's of the weights as they are.

    Args:
        num_classes: C.
        statistics: of the training annotations.
        tau: 0 leaves the rows as long as they are, 1 makes all as long.
        gamma: 0 shifts nothing; 1 of a softmax is post-hoc logit adjustment (Menon et al., 2021).
        of: what n counts.
    """

    rule: ClassVar[str]
    """As a dump's description says it."""
    changes_logits = True
    reads = ("image_counts", "instance_counts")
    shifts: Tensor
    """(C,)."""

    def __init__(
        self,
        num_classes: Classes,
        statistics: TrainingStatistics,
        tau: NotNegative = 0.0,
        gamma: NotNegative = 0.0,
        of: Counted = "images",
    ) -> None:
        super().__init__(num_classes)
        self.tau = tau
        self.gamma = gamma
        self.of: Counted = of
        self.take(statistics)

    def numbers(self, statistics: TrainingStatistics) -> dict[str, Tensor]:
        """See `CountedCalibration`."""
        return {"shifts": -self.gamma * self.counts(statistics, self.of).log()}

    def require_logits(self, loss: ClassificationLoss) -> None:
        """Refuse a loss whose logits the toolkit would make other scores of.

        Raises:
            OptionError: with the head that is to be left out.
        """
        alone = all(getattr(part, "one_logit_a_class", True) for part in loss.modules())
        if not alone or loss.num_logits != self.num_classes + 1:
            raise OptionError(
                f"{type(loss).__name__} has {loss.num_logits} logits, and what is handed back is "
                f"one of each of {self.num_classes} categories and of background: leave the head "
                "out ('~stages.classifier.heads.NAME')"
            )

    def mean(self, logits: Sequence[Tensor], predictors: Sequence[nn.Module]) -> Tensor:
        """See `Calibration`: the logits that the folded layer makes.

        Raises:
            OptionError: a classifier is no linear layer.
        """
        return super().mean(list(map(self._folded, logits, predictors)), predictors)

    def _folded(self, logits: Tensor, predictor: nn.Module) -> Tensor:
        weight, bias = self._layer(predictor)
        lengths = self._lengths(weight)
        foreground, background = logits.split([self.num_classes, 1], dim=1)
        own = bias[: self.num_classes]
        return torch.cat(((foreground - own) / lengths + own + self.shifts, background), dim=1)

    @torch.no_grad()
    def fold(self, predictor: nn.Module) -> tuple[Tensor, Tensor]:
        """Weight (C + 1, D) and bias (C + 1,) with these scores by the toolkit's rule alone.

        Raises:
            OptionError: the predictor is no linear layer.
        """
        weight, bias = (part.clone() for part in self._layer(predictor))
        weight[: self.num_classes] /= self._lengths(weight).unsqueeze(1)
        bias[: self.num_classes] += self.shifts
        return weight, bias

    def forward(
        self, logits: Tensor, probabilities: Callable[[Tensor], Tensor], level: Level
    ) -> Tensor:
        """See `Calibration`; the loss's own probabilities are not asked for."""
        return self.scored(logits)

    @staticmethod
    @abstractmethod
    def scored(logits: Tensor) -> Tensor:
        """Scores (R, C + 1) of logits (R, C + 1), background last, as the toolkit makes them."""

    def _lengths(self, weight: Tensor) -> Tensor:
        return weight[: self.num_classes].norm(dim=1).clamp(min=SMALLEST).pow(self.tau)

    def _layer(self, predictor: nn.Module) -> tuple[Tensor, Tensor]:
        if type(predictor) is not nn.Linear:
            raise OptionError(
                f"what is handed back is a linear layer, and this classifier is a "
                f"{type(predictor).__name__}: leave the head out "
                "('~stages.classifier.heads.NAME')"
            )
        return in_float32(predictor.weight), in_float32(predictor.bias)


class SoftmaxScores(ToolkitScores):
    """Of toolkits that take a softmax over the categories and background."""

    rule = "softmax"

    @staticmethod
    def scored(logits: Tensor) -> Tensor:
        """See `ToolkitScores`."""
        return logits.softmax(dim=1)


class SigmoidScores(ToolkitScores):
    """Of toolkits that take a sigmoid of each category and know no background: none is told."""

    rule = "sigmoid"

    @staticmethod
    def scored(logits: Tensor) -> Tensor:
        """See `ToolkitScores`."""
        return functional.pad(logits[:, :-1].sigmoid(), (0, 1))
