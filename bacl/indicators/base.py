"""The contract of a long-term indicator, and the indicators that hold one number per class.

R: rows of a step. C: foreground classes; label C is background. P: foreground rows.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from bacl.indicators.foreground import Foreground
from bacl.indicators.stacked import stacked
from bacl.options.ranges import Classes

PROBABILITY_FLOOR = 1e-3
"""Probabilities enter the ratio of Eq. 7 no smaller than this, on both sides, so that the margin of
classes that the classifier never confuses stays within alpha · log(1000)."""

COUNT_FLOOR = 1.0
"""Counts enter the ratio of Eq. 7 no smaller than one: a class not seen yet counts as seen once."""

AT_ONCE = {"observe": "observe_together", "log_ratio": "log_ratios", "strength": "strengths"}
"""What is asked of an indicator, and of several."""


class LongTermIndicator(nn.Module, ABC):
    """The inclination of the classifier, or of the data, towards each foreground class.

    Its buffers are persistent: a resumed run continues exactly. Sums and counts are kept in float64
    and int64, because a float32 sum of a frequent class stops growing: after 10^7 rows it drops
    every addend below one half. They run over all processes.
    """

    def __init__(self, num_classes: Classes) -> None:
        super().__init__()
        self.num_classes = num_classes

    def observe(self, logits: Tensor, labels: Tensor, foreground: Foreground | None = None) -> None:
        """Fold one training step in; static indicators ignore it.

        Every process calls it together, also one without foreground rows.

        Args:
            logits: (R, K), detached; the first C channels are the foreground classes.
            labels: (R,) int64 in [0, C].
            foreground: of these labels, where the caller knows its rows; found by waiting if not.
        """

    @abstractmethod
    def log_ratio(self, labels: Tensor) -> Tensor:
        """log(l_j / l_i) of Eq. 7 for rows of class i; rows of one class are asked for once.

        Args:
            labels: (P,) int64 in [0, C), the classes i.

        Returns:
            (P, C) float32; zero where j = i.
        """

    @abstractmethod
    def strength(self) -> Tensor:
        """(C,) float32 in [0, 1]: the l_i of Eq. 12."""

    # Of indicators of one class, whose H heads are computed together. An indicator that calculates
    # much may say how to do it at once; each ends bit for bit as alone.

    def __init_subclass__(cls, **options: Any) -> None:
        """A subclass that says something anew of one has no inherited way to do it at once."""
        super().__init_subclass__(**options)
        for one, at_once in AT_ONCE.items():
            if one in vars(cls) and at_once not in vars(cls):
                setattr(cls, at_once, vars(LongTermIndicator)[at_once])

    @classmethod
    def observe_together(
        cls,
        indicators: Sequence[Self],
        logits: Tensor,
        labels: Tensor,
        foreground: Foreground,
    ) -> None:
        """`observe` of each, of logits (H, R, K) for labels (H, R)."""
        for number, indicator in enumerate(indicators):
            indicator.observe(logits[number], labels[number], foreground.of_head(number))

    @classmethod
    def log_ratios(cls, indicators: Sequence[Self], labels: Tensor) -> Tensor:
        """(H, P, C): `log_ratio` of each, for labels (H, P)."""
        pairs = zip(indicators, labels, strict=True)
        return stacked([indicator.log_ratio(own) for indicator, own in pairs])

    @classmethod
    def strengths(cls, indicators: Sequence[Self]) -> Tensor:
        """(H, C): `strength` of each."""
        return stacked([indicator.strength() for indicator in indicators])


class PairwiseIndicator(LongTermIndicator):
    """An indicator with one number M_ij per pair of classes (dimension 2 in Tab. II)."""

    @abstractmethod
    def rows(self, labels: Tensor) -> Tensor:
        """(P, C) float32 in [0, 1]: M_ij of the classes i of labels (P,) int64 in [0, C).

        Rows of classes that have not been seen are zero. To be looked at: of many classes some at
        a time, since all rows of 13,204 are 0.7 GB.
        """


class ScalarIndicator(LongTermIndicator):
    """An indicator with one number l_i per class (dimension 1 in Tab. II)."""

    floor: float
    """Smallest number that enters a ratio."""

    @abstractmethod
    def values(self) -> Tensor:
        """(C,) the l_i as they enter the ratio of Eq. 7."""

    @torch.no_grad()
    def log_ratio(self, labels: Tensor) -> Tensor:
        """See `LongTermIndicator.log_ratio`."""
        logs = self.values().double().clamp(min=self.floor).log().float()
        return logs - logs[labels].unsqueeze(1)
