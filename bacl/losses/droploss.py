"""DropLoss (Hsieh et al., AAAI 2021): background rows suppress rare classes now and then."""

import torch
from torch import Tensor

from bacl.indicators import Counts, LongTermIndicator
from bacl.losses.drawing import DrawingLoss
from bacl.losses.eql import EQL
from bacl.options.ranges import Classes, Probability, Seed, Share
from bacl.processes.distributed import sum_over_processes


class DropLoss(DrawingLoss, EQL):
    """`EQL` whose background rows, too, suppress the classes of the tail only in part.

    In a background row the loss of each class of the tail is kept with a probability that is the
    share of the tail's rows among the step's foreground rows, or 1 where there are none; classes
    beyond the tail always keep it.

    The share is that of all processes' rows, so that it does not depend on how images are spread
    over processes (the published code takes it of each process's rows); draws are per process. The
    paper has a share for each group of classes, its code one for the whole tail, as here.

    Args:
        num_classes: C.
        prior: see `BinaryCrossEntropy`.
        tail: lambda, share of the annotated images that ends the tail; None for 100 images.
        statistics: of the training annotations: counts of images.
        seed: of the draws.
        indicator: see `ClassificationLoss`.

    Raises:
        ValueError: the statistics count other classes.
    """

    def __init__(
        self,
        num_classes: Classes,
        prior: Probability,
        tail: Share | None,
        statistics: Counts,
        seed: Seed,
        indicator: LongTermIndicator | None = None,
    ) -> None:
        super().__init__(num_classes, prior, tail, statistics, indicator)
        self.seed = seed

    def kept(self, labels: Tensor) -> Tensor:
        """As `EQL.kept`, by the draws of the step."""
        draws = self.uniform((len(labels), self.num_classes), labels.device)
        return self.kept_with(labels, draws)

    def kept_with(self, labels: Tensor, draws: Tensor) -> Tensor:
        """`kept` with given draws (R, C) in [0, 1)."""
        foreground = self.foreground(labels)
        dropped = foreground | (draws > self.share(labels))
        return self.with_own(~(dropped & self.tail), labels)

    @torch.no_grad()
    def share(self, labels: Tensor) -> Tensor:
        """Of the tail among foreground rows of all processes; every process calls it."""
        padded = torch.cat((self.tail, self.tail.new_zeros(1)))
        rows = torch.stack((padded[labels].sum(), (labels < self.num_classes).sum()))
        tail, foreground = sum_over_processes(rows)
        return torch.where(foreground > 0, tail / foreground, 1.0)
