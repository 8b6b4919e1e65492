"""Foreground classification balance loss (Sec. III-D, Eq. 6-9).

H: heads that are computed together, one or more.
"""

from collections.abc import Hashable, Sequence
from typing import Self

import torch
from torch import Tensor

from bacl.indicators import Foreground, LongTermIndicator
from bacl.indicators.stacked import constants, numbers
from bacl.losses.bce import BinaryCrossEntropyWithObjectness
from bacl.losses.rows import Rows
from bacl.losses.sigmoid import sigmoid_cross_entropy
from bacl.messages.errors import OptionError
from bacl.options.ranges import Classes, NotNegative, Probability, Share


class FCBL(BinaryCrossEntropyWithObjectness):
    """Sigmoid cross-entropy with objectness, rebalanced between the classes of foreground rows.

    For a foreground row of class i, the logit of every other foreground class j gets the margin
    alpha · log(l_j / l_i) of the long-term indicator (Eq. 7-8), and its loss counts only where the
    short-term indicator, p of Eq. 5 without margin, is confused (Eq. 9). Background rows, the
    background channel and the channel of the row's own class keep margin 0 and weight 1.
    Without margin and weight it is `BinaryCrossEntropyWithObjectness`.

    Args:
        num_classes: C.
        prior: see `BinaryCrossEntropy`.
        indicator: long-term indicator l.
        alpha: factor of the margin.
        threshold: p_t of Eq. 9 in [0, 1].
        margin: whether margins are added (MG of Tab. III).
        weight: whether losses are weighted (WT of Tab. III).
        misclassified: whether p_j >= p_i keeps a loss (first line of Eq. 9, Tab. IX).
        overconfident: whether p_j >= threshold keeps a loss (second line of Eq. 9, Tab. IX).

    Raises:
        ValueError: the weight term is on, but neither of its lines.
    """

    indicator: LongTermIndicator
    reads_rows = True  # which of them have a class, without a wait for the device

    def __init__(
        self,
        num_classes: Classes,
        prior: Probability,
        indicator: LongTermIndicator,
        alpha: NotNegative,
        threshold: Share,
        margin: bool = True,
        weight: bool = True,
        misclassified: bool = True,
        overconfident: bool = True,
    ) -> None:
        super().__init__(num_classes, prior, indicator)
        if weight and not (misclassified or overconfident):
            raise OptionError(
                "FCBL: misclassified and overconfident are both off, so that no class would be "
                "suppressed by another; for no weight term set weight to false"
            )
        self.alpha = alpha
        self.threshold = threshold
        self.margin = margin
        self.weight = weight
        self.misclassified = misclassified
        self.overconfident = overconfident

    def pairwise_margins(self, labels: Tensor) -> Tensor | None:
        """See `ClassificationLoss.pairwise_margins`; 0 of a class to itself."""
        if not self.margin:
            return None
        return self.alpha * self.indicator.log_ratio(labels)

    def forward(self, logits: Tensor, labels: Tensor, rows: Rows | None = None) -> Tensor:
        """Eq. 6 on foreground rows and Eq. 2 on background rows, summed and divided by R."""
        own = self._foreground(labels, rows)
        return self.together([self], logits.unsqueeze(0), labels.unsqueeze(0), own).squeeze(0)

    @torch.no_grad()
    def observe(self, logits: Tensor, labels: Tensor, rows: Rows | None = None) -> None:
        """See `ClassificationLoss.observe`."""
        self.indicator.observe(logits, labels, self._foreground(labels, rows))

    @property
    def kin(self) -> Hashable | None:
        """See `ClassificationLoss.kin`: all but alpha and the threshold are equal."""
        if type(self) is not FCBL:  # what a subclass says anew, `together` does not know
            return None
        terms = self.margin, self.weight, self.misclassified, self.overconfident
        return FCBL, self.num_classes, type(self.indicator), *terms

    @classmethod
    def together(
        cls, losses: Sequence[Self], logits: Tensor, labels: Tensor, foreground: Foreground
    ) -> Tensor:
        """See `ClassificationLoss.together`."""
        # At most a quarter of a step's RoIs are foreground: gathering them is several times cheaper
        # than masked formulas over all rows.
        margin = weight = None
        if losses[0].margin:
            margin = cls._margins(losses, foreground)
        if losses[0].weight:
            own = logits.detach()[:, foreground.rows]
            weight = losses[0]._weights(own, foreground.labels, [each.threshold for each in losses])
        return sigmoid_cross_entropy(logits, labels, foreground.rows, margin, weight)

    @staticmethod
    def _margins(losses: Sequence["FCBL"], foreground: Foreground) -> Tensor:
        """(H, P, C), Eq. 7 for the foreground rows of H heads."""
        indicators = [each.indicator for each in losses]
        ratios = type(indicators[0]).log_ratios(indicators, foreground.classes)
        heads = numbers(len(losses), ratios.device).unsqueeze(1)
        return constants([each.alpha for each in losses], ratios) * ratios[heads, foreground.places]

    def weights(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Eq. 9 for foreground rows.

        Args:
            logits: (P, C + 1), without margin.
            labels: (P,) in [0, C).

        Returns:
            (P, C + 1) of zeros and ones; one for the row's own class and for background.
        """
        return self._weights(logits, labels, [self.threshold])

    def _weights(self, logits: Tensor, labels: Tensor, thresholds: Sequence[float]) -> Tensor:
        """The same of heads (H, P, C + 1), or of one, with their thresholds."""
        scores = self.foreground_probabilities(logits)
        own = labels.unsqueeze(-1)
        lowest = constants(thresholds, scores)
        if self.misclassified:
            answers = scores.gather(-1, own)
            lowest = answers.clamp(max=lowest) if self.overconfident else answers
        # Comparisons are inclusive: a row whose background is certain scores 0 and keeps all.
        kept = scores.new_empty(logits.shape)
        torch.ge(scores, lowest, out=kept[..., : self.num_classes])
        kept[..., self.num_classes].fill_(1)
        return kept.scatter_(-1, own, 1)

    def _foreground(self, labels: Tensor, rows: Rows | None) -> Foreground:
        if rows is None:
            return Foreground.among(labels, self.num_classes)
        return rows.foreground(labels, self.num_classes)
