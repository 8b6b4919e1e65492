"""The contract of a classification loss: all that a classifier head knows of it.

R: rows (sampled RoIs and hallucinated features). C: foreground classes. K: logits of a row.
Labels are int64 in [0, C]; C is background.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from bacl.indicators import Foreground, LongTermIndicator
from bacl.losses.rows import Rows
from bacl.options.ranges import Classes

WEIGHT_DEVIATION = 0.01
"""Standard deviation of a new classifier's weights (Faster R-CNN 2015)."""


class ClassificationLoss(nn.Module, ABC):
    """A loss over all rows of a step, with what turns its logits into probabilities.

    Statistics that are known before training (counts, frequencies, groups) come through the
    constructor; statistics of training live in persistent buffers, are read by `forward` and
    written by `observe` alone. `forward` divides its sum over rows and channels by the rows.

    Args:
        num_classes: C.
        indicator: long-term indicator that observes every training step, where the loss or the
            head's feature hallucination reads one.

    Raises:
        ValueError: the indicator counts other classes.
    """

    indicator: LongTermIndicator | None
    reads_rows = False
    """Whether `forward` and `observe` are given `Rows` as a third argument, `rows`."""
    one_logit_a_class = True
    """Whether a class has one logit alone, of the first C: calibrations may change those."""
    once_a_step = False
    """Whether all rows of a step have to come in one `forward`, by which it learns itself."""

    def __init__(self, num_classes: Classes, indicator: LongTermIndicator | None = None) -> None:
        super().__init__()
        if indicator is not None and indicator.num_classes != num_classes:
            raise ValueError(
                f"the indicator has {indicator.num_classes} classes, the loss {num_classes}: "
                "build both for the categories of the training annotations"
            )
        self.num_classes = num_classes
        self.indicator = indicator

    @property
    def num_logits(self) -> int:
        """K, outputs of the predictor: by default the foreground classes and background."""
        return self.num_classes + 1

    @property
    def inherited(self) -> "ClassificationLoss | None":
        """What scores the logits of an inherited classifier that stays as it is, if any does."""
        return None

    def pairwise_margins(self, labels: Tensor) -> Tensor | None:
        """(P, C) what it adds to the logit of class j in rows of class i, as things stand (Eq. 7).

        To be looked at, of many classes some at a time; None where it adds none.

        Args:
            labels: (P,) int64 in [0, C), the classes i.
        """
        return None

    def initialise(self, predictor: nn.Module) -> None:
        """Set a new predictor's weights to N(0, 0.01) and its bias, where it has one, to zero."""
        nn.init.normal_(predictor.get_parameter("weight"), std=WEIGHT_DEVIATION)
        set_bias(predictor, 0.0)

    @abstractmethod
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The scalar loss of logits (R, K) for labels (R,), in float32 also under autocast.

        It reads statistics and never writes them; without rows it is zero, with a graph. Every
        process calls it in every training step, since a loss may look at all processes' labels.
        """

    def of_step(self, logits: Tensor, labels: Tensor, rows: Rows) -> Tensor:
        """`forward`, with the rows that the logits were made of where it reads them."""
        loss: Tensor = self(logits, labels, **self._asked(rows))
        return loss

    def observe_step(self, logits: Tensor, labels: Tensor, rows: Rows) -> None:
        """`observe`, with the same."""
        self.observe(logits.detach(), labels, **self._asked(rows))

    def _asked(self, rows: Rows) -> dict[str, Rows]:
        return {"rows": rows} if self.reads_rows else {}

    @property
    def kin(self) -> Hashable | None:
        """Losses of equal kin are computed `together` where that is faster; None: it is not.

        One that has kin observes nothing but by its indicator, of which those of its kin have the
        same class.
        """
        return None

    @classmethod
    def together(
        cls, losses: Sequence[Self], logits: Tensor, labels: Tensor, foreground: Foreground
    ) -> Tensor:
        """`forward` of H losses of equal kin, each bit for bit as alone.

        Args:
            losses: H.
            logits: (H, R, K).
            labels: (H, R) int64 in [0, C].
            foreground: of these labels.

        Returns:
            (H,).
        """
        raise NotImplementedError(f"{cls.__name__} has no kin")

    @abstractmethod
    def probabilities(self, logits: Tensor) -> Tensor:
        """(R, C + 1) in [0, 1] from logits (R, K), background last; they rank the detections."""

    @torch.no_grad()
    def observe(self, logits: Tensor, labels: Tensor) -> None:
        """Fold one training step into the statistics, after its loss.

        Every process calls it in every step, also without foreground rows or without any row, since
        statistics are summed over processes.

        Args:
            logits: (R, K), detached.
            labels: (R,).
        """
        if self.indicator is not None:
            self.indicator.observe(logits, labels)


def set_bias(predictor: nn.Module, value: float) -> None:
    """Set every bias of a new predictor, where it has any."""
    for name, parameter in predictor.named_parameters(recurse=False):
        if name == "bias":
            nn.init.constant_(parameter, value)
