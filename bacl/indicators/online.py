"""First-order dynamic indicators: one number per class, followed during training (Tab. II)."""

import torch
from torch import Tensor

from bacl.indicators.base import COUNT_FLOOR, PROBABILITY_FLOOR, ScalarIndicator
from bacl.indicators.foreground import Foreground
from bacl.options.ranges import Classes, Share
from bacl.processes.class_sums import rows_per_class
from bacl.processes.distributed import sum_over_processes


class CumulativeInstances(ScalarIndicator):
    """N_i, the samples of class i seen so far, hallucinated ones included.

    Args:
        num_classes: C.
    """

    floor = COUNT_FLOOR
    counts: Tensor

    def __init__(self, num_classes: Classes) -> None:
        super().__init__(num_classes)
        self.register_buffer("counts", torch.zeros(num_classes, dtype=torch.int64))

    @torch.no_grad()
    def observe(self, logits: Tensor, labels: Tensor, foreground: Foreground | None = None) -> None:
        """Count the step's foreground rows."""
        own = foreground or Foreground.among(labels, self.num_classes)
        self.counts += sum_over_processes(own.counts[0])

    def values(self) -> Tensor:
        """(C,) int64."""
        return self.counts

    def strength(self) -> Tensor:
        """N_i as a fraction of all foreground samples seen; zero before the first."""
        return (self.counts.double() / self.counts.sum().clamp(min=1)).float()


class MeanScore(ScalarIndicator):
    """s_i = gamma s_i + (1 - gamma) p_i in every step that has rows of class i.

    p_i is the mean over those rows of the probability of their own class, the sigmoid of Eq. 4.

    Args:
        num_classes: C.
        gamma: share of the past.
        initial: score of a class that has not been seen.
    """

    floor = PROBABILITY_FLOOR
    scores: Tensor

    def __init__(self, num_classes: Classes, gamma: Share, initial: Share) -> None:
        super().__init__(num_classes)
        self.gamma = gamma
        self.register_buffer("scores", torch.full((num_classes,), initial, dtype=torch.float64))

    @torch.no_grad()
    def observe(self, logits: Tensor, labels: Tensor, foreground: Foreground | None = None) -> None:
        """Average the scores of the step's foreground rows, over all processes; fold them in."""
        step = foreground or Foreground.among(labels, self.num_classes)
        (own,) = step.labels
        scores = logits[step.rows].gather(1, own.unsqueeze(1)).squeeze(1)
        scores = scores.float().sigmoid().double()
        sums = scores.new_zeros(2, self.num_classes)
        # index_put_ sums in a fixed order on CUDA too, unlike index_add_: runs repeat bit for bit.
        sums[0].index_put_((own,), torch.ones_like(scores), accumulate=True)
        sums[1].index_put_((own,), scores, accumulate=True)
        counts, totals = sum_over_processes(sums)
        moved = self.scores.lerp(totals / counts.clamp(min=1), 1 - self.gamma)
        self.scores = torch.where(counts > 0, moved, self.scores)

    def values(self) -> Tensor:
        """(C,) float64 in [0, 1]."""
        return self.scores

    def strength(self) -> Tensor:
        """The mean scores."""
        return self.scores.float()


class TruePositiveRate(ScalarIndicator):
    """TPR_i, the share of the samples of class i whose largest foreground logit is their own.

    Background competes with objects in its own channel and takes no part, as in the confusion
    matrix, of whose hard form (Eq. 14) this is the diagonal.

    Args:
        num_classes: C.
    """

    floor = PROBABILITY_FLOOR
    hits: Tensor
    counts: Tensor

    def __init__(self, num_classes: Classes) -> None:
        super().__init__(num_classes)
        self.register_buffer("hits", torch.zeros(num_classes, dtype=torch.int64))
        self.register_buffer("counts", torch.zeros(num_classes, dtype=torch.int64))

    @torch.no_grad()
    def observe(self, logits: Tensor, labels: Tensor, foreground: Foreground | None = None) -> None:
        """Count the step's foreground rows, and those that are classified correctly."""
        correct = logits[:, : self.num_classes].argmax(dim=1) == labels
        step = torch.stack(
            [
                rows_per_class(labels, self.num_classes, correct),
                rows_per_class(labels, self.num_classes),
            ]
        )
        hits, counts = sum_over_processes(step)
        self.hits += hits
        self.counts += counts

    def values(self) -> Tensor:
        """(C,) float64 in [0, 1]; zero for a class that has not been seen."""
        return self.hits.double() / self.counts.clamp(min=1)

    def strength(self) -> Tensor:
        """The rates."""
        return self.values().float()
