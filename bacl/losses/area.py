"""AREA (Chen et al., ICCV 2023): classes are weighted by the area that their features fill.

P: objects of a step. C: foreground classes. D: width of an RoI feature.
"""

import torch
from torch import Tensor
from torch.nn import functional

from bacl.detectors.full_precision import in_float32
from bacl.indicators import LongTermIndicator
from bacl.losses.cross_entropy import SoftmaxCrossEntropy
from bacl.losses.epochs import FollowsEpochs
from bacl.losses.rows import Rows
from bacl.options.ranges import Classes, FeatureDim, Share
from bacl.processes.class_sums import ClassSums, sum_per_class


class AREA(FollowsEpochs, SoftmaxCrossEntropy):
    """Softmax cross-entropy whose rows weigh 1 / area of their class, background 1.

    The effective area of n features of a class in a step is 1 / (aᵀ R a), where R are the cosines
    between them after the class's mean is taken off, and a is 1 / n: n where they are independent,
    fewer where they are alike, more where they are opposed; 1 for a single feature. A class's area
    is the sum over the steps of an epoch. Weights have mean 1 over the foreground classes, and
    set in after a share `deferred` of the stage's epochs.

    Published for classification; decided here for detection: features are those of the objects'
    own boxes among the sampled RoIs, of all processes together; their means are those of the epoch
    before, in place of a pass over the training images, so that weights exist from the third epoch
    on; a step's area is n² at most (two opposed features fill an endless one); a class without
    objects in an epoch counts as one feature. The sum over rows is divided by their number.

    Args:
        num_classes: C.
        feature_dim: D.
        deferred: share of the epochs before the weights; 1 for no weights.
        indicator: see `ClassificationLoss`.
    """

    reads_rows = True

    totals: Tensor
    """(C, D) float64: sums of this epoch's features."""
    counts: Tensor
    """(C,) int64: their numbers."""
    means: Tensor
    """(C, D) float64: of the epoch before."""
    known: Tensor
    """(C,) bool: which classes have one."""
    areas: Tensor
    """(C,) float64: this epoch's effective areas so far."""
    weights: Tensor
    """(C + 1,) float64."""

    def __init__(
        self,
        num_classes: Classes,
        feature_dim: FeatureDim,
        deferred: Share,
        indicator: LongTermIndicator | None = None,
    ) -> None:
        super().__init__(num_classes, indicator)
        self.deferred = deferred
        self.weighted = False
        self.epoch = 0
        """Finished epochs, as far as it was told."""
        rows = torch.zeros(num_classes, feature_dim, dtype=torch.float64)
        self.register_buffer("totals", rows)
        self.register_buffer("counts", torch.zeros(num_classes, dtype=torch.int64))
        self.register_buffer("means", rows.clone())
        self.register_buffer("known", torch.zeros(num_classes, dtype=torch.bool))
        self.register_buffer("areas", torch.zeros(num_classes, dtype=torch.float64))
        self.register_buffer("weights", torch.ones(num_classes + 1, dtype=torch.float64))

    def forward(self, logits: Tensor, labels: Tensor, rows: Rows | None = None) -> Tensor:
        """Weighted cross-entropy of logits (R, C + 1), summed over rows, divided by R."""
        logits = in_float32(logits)
        weight = self.weights.to(logits.dtype) if self.weighted else None
        total = functional.cross_entropy(logits, labels, weight=weight, reduction="sum")
        return total / max(1, len(labels))

    @torch.no_grad()
    def observe(self, logits: Tensor, labels: Tensor, rows: Rows | None = None) -> None:
        """Add the step's objects to means and areas."""
        assert rows is not None
        super().observe(logits, labels)
        own = rows.own_boxes(self.num_classes)
        classes, features = rows.level.labels[own], rows.level.features[own].detach().double()
        unit = functional.normalize(features - self.means[classes])
        both = sum_per_class(torch.cat((features, unit), dim=1), classes, self.num_classes)
        features, unit = both.totals.chunk(2, dim=1)
        self.totals[both.classes] += features
        self.counts[both.classes] += both.counts
        areas = effective_areas(ClassSums(both.classes, both.counts, unit))
        self.areas[both.classes] += areas * self.known[both.classes]

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Make weights and means of the epoch that has ended, if one has."""
        self.weighted = self.deferred < 1 and epoch >= self.deferred * epochs
        if epoch > self.epoch:
            self._end_epoch()
        self.epoch = epoch

    def get_extra_state(self) -> dict[str, int]:
        """Finished epochs."""
        return {"epoch": self.epoch}

    def set_extra_state(self, state: dict[str, int]) -> None:
        """Go on in the epoch of a checkpoint."""
        self.epoch = state["epoch"]

    @torch.no_grad()
    def _end_epoch(self) -> None:
        if self.known.any():
            self.weights = functional.pad(class_weights(self.areas), (0, 1), value=1.0)
        self.means = self.totals / self.counts.clamp(min=1).unsqueeze(1)
        self.known = self.counts > 0
        for buffer in (self.totals, self.counts, self.areas):
            buffer.zero_()


def effective_areas(unit: ClassSums) -> Tensor:
    """(U,) float64 in [1, n²], of sums (U, D) of each class's n centred features of length 1."""
    # The sum of all cosines between them is the square of the length of their sum.
    cosines = unit.totals.square().sum(dim=1).clamp(min=1)
    areas = unit.counts.square() / cosines
    return areas.where(unit.counts > 1, 1.0)


def class_weights(areas: Tensor) -> Tensor:
    """(C,) float64 with mean 1, in inverse proportion to areas (C,), which count as 1 at least."""
    inverse = 1 / areas.clamp(min=1)
    return inverse / inverse.mean()
