"""Nearest class mean (NCM; Kang et al., ICLR 2020), for detection.

R: rows. C: foreground classes.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from bacl.detectors.full_precision import in_float32
from bacl.heads.frozen_classifier import OnFrozenClassifier
from bacl.options.ranges import Positive
from bacl.processes.class_sums import sum_per_class


class NearestClassMean(OnFrozenClassifier):
    """A frozen classifier tells objects from background, class means tell the objects apart.

    The paper classifies by the largest cosine of a feature and the classes' mean features, and
    has no background. Decided here: with p = softmax(z) of the inherited logits, background keeps
    p_background, and class j gets (1 - p_background) · softmax(scale · cosines)_j. The logits are
    logarithms of these, so that a softmax loss gives them back. The scale is the one parameter
    that trains: the paper needs only an order of classes, but a detector compares scores between
    images. A class that was not seen yet counts as opposite to every feature.

    Means are of the features of all foreground rows so far, of all processes, and of added rows
    too. K = C + 1, background last.

    Args:
        in_features: D.
        out_features: K.
        scale: first factor of the cosines.
    """

    totals: Tensor
    """(C, D) float64: sums of features."""
    counts: Tensor
    """(C,) int64: rows of each class."""

    def __init__(self, in_features: int, out_features: int, scale: Positive) -> None:
        super().__init__(in_features, out_features)
        num_classes = out_features - 1
        self.scale = nn.Parameter(torch.tensor(float(scale)))
        totals = torch.zeros(num_classes, in_features, dtype=torch.float64)
        self.register_buffer("totals", totals)
        self.register_buffer("counts", torch.zeros(num_classes, dtype=torch.int64))

    def forward(self, features: Tensor) -> Tensor:
        """(R, K) logarithms of scores of features (R, D)."""
        inherited = in_float32(self.base(features)).log_softmax(dim=1)
        foreground = inherited[:, :-1].logsumexp(dim=1, keepdim=True)
        classes = (self.scale * self.cosines(features)).log_softmax(dim=1)
        return torch.cat((classes + foreground, inherited[:, -1:]), dim=1)

    def cosines(self, features: Tensor) -> Tensor:
        """(R, C) in [-1, 1] of features (R, D) and class means; -1 for a class without one."""
        means = functional.normalize(self.totals).to(self.base.weight.dtype)
        rows = functional.normalize(features.to(means.dtype))
        return functional.linear(rows, means).masked_fill(self.counts == 0, -1)

    @torch.no_grad()
    def observe(self, features: Tensor, labels: Tensor) -> None:
        """Add the step's foreground features, of all processes."""
        rows = (labels < len(self.counts)).nonzero().squeeze(1)
        sums = sum_per_class(features[rows], labels[rows], len(self.counts))
        self.totals.index_add_(0, sums.classes, sums.totals)
        self.counts.index_add_(0, sums.classes, sums.counts)
