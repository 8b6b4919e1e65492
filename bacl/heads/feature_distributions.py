"""Follows mean and variance of every class's features, which new ones are drawn from.

C: foreground classes. D: width of an RoI feature.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from bacl.detectors.transfers import sent
from bacl.heads.added_features import AddedFeatures
from bacl.indicators.stacked import constants, stacked
from bacl.processes.class_sums import sum_per_class


@dataclass(slots=True)
class FeatureMoments:
    """Mean and variance of the features of each class that occurs on any process."""

    classes: Tensor
    """(U,) int64, ascending."""
    mean: Tensor
    """(U, D) float64."""
    variance: Tensor
    """(U, D) float64, unbiased; that of a single feature is 0."""


@torch.no_grad()
def feature_moments(features: Tensor, labels: Tensor, num_classes: int) -> FeatureMoments:
    """Of features (P, D) of labels (P,) in [0, C), over all processes.

    Every process calls it together, also one without features.
    """
    features = features.double()
    both = torch.cat((features, features.square()), dim=1)
    sums = sum_per_class(both, labels, num_classes)
    counts = sums.counts.unsqueeze(1)
    total, squares = sums.totals.chunk(2, dim=1)
    mean = total / counts
    variance = ((squares - total * mean) / (counts - 1).clamp(min=1)).clamp(min=0)
    return FeatureMoments(sums.classes, mean, variance)


class FeatureDistributions(AddedFeatures):
    """Moving averages of each class's mean and variance (Eq. 11).

    They are those of all processes' features: W processes follow the same distributions as one
    process with the whole batch.

    Args:
        num_classes: C.
        feature_dim: D.
        beta: share of the past.
    """

    prototypes: Tensor
    """(C, D) float32, the mu of Eq. 11."""
    variances: Tensor
    """(C, D) float32, the sigma of Eq. 11; its square root is the deviation in Eq. 13."""
    seen: Tensor
    """(C,) bool."""
    all_seen: bool
    """Whether it is known, without a wait for the device, that all classes have been seen."""

    def __init__(self, num_classes: int, feature_dim: int, beta: float) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.beta = beta
        self.register_buffer("prototypes", torch.zeros(num_classes, feature_dim))
        self.register_buffer("variances", torch.zeros(num_classes, feature_dim))
        self.register_buffer("seen", torch.zeros(num_classes, dtype=torch.bool))
        self.all_seen = False

    def follow(self, step: FeatureMoments) -> None:
        """Eq. 11 for every class that occurs; a class's first mean and variance are copied."""
        self.follow_together([self], step)

    @classmethod
    @torch.no_grad()
    def follow_together(cls, distributions: Sequence[Self], step: FeatureMoments) -> None:
        """`follow` of H distributions, each bit for bit as alone."""
        share = 1 - cls._past(distributions, step.classes)
        for name, new in (("prototypes", step.mean), ("variances", step.variance)):
            buffers = [each.get_buffer(name) for each in distributions]
            before = stacked([buffer[step.classes] for buffer in buffers]).double()
            for buffer, moved in zip(buffers, before.lerp(new, share).float(), strict=True):
                buffer.index_copy_(0, step.classes, moved)
        for each in distributions:
            if not each.all_seen:
                each.seen.index_fill_(0, step.classes, True)

    @staticmethod
    def seen_among(
        distributions: Sequence["FeatureDistributions"], classes: Sequence[Tensor]
    ) -> Sequence[Tensor]:
        """Those of classes (c,) of each of H distributions that have been seen.

        The host waits, once for all, until every distribution has seen all its classes.
        """
        if all(each.all_seen for each in distributions):
            return classes
        every = stacked([each.seen for each in distributions])
        known = torch.cat((every.gather(1, stacked(classes)), every.all(dim=1, keepdim=True)), 1)
        seen = []
        rows = zip(distributions, classes, known.tolist(), strict=True)
        for each, own, flags in rows:
            *chosen, each.all_seen = flags
            seen.append(own[sent(np.flatnonzero(chosen), own.device)])
        return seen

    def _load_from_state_dict(self, *args: Any, **options: Any) -> None:
        super()._load_from_state_dict(*args, **options)
        self.all_seen = False  # of what was loaded it is not known

    @staticmethod
    def _past(distributions: Sequence["FeatureDistributions"], classes: Tensor) -> Tensor:
        """(H, U, 1) float64, or fewer of equal ones: its share in what is followed."""
        like = classes.new_ones((), dtype=torch.float64)
        beta = constants([each.beta for each in distributions], like)
        if all(each.all_seen for each in distributions):
            return beta * like
        seen = stacked([each.seen for each in distributions])
        return beta * seen[:, classes].double().unsqueeze(2)

    def drawn(self, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Features (n, D) float32 for labels (n,) of classes that have been seen.

        Unlike real ones they can be negative.
        """
        normals = self.prototypes.new_empty((len(labels), self.prototypes.shape[1]))
        return self.features(labels, normals.normal_(generator=generator))

    def features(self, labels: Tensor, normals: Tensor) -> Tensor:
        """Eq. 13 with given standard normals (n, D), for labels (n,): prototype + deviation."""
        return self.features_together([self], [labels], normals.unsqueeze(0))[0]

    @staticmethod
    def features_together(
        distributions: Sequence["FeatureDistributions"], labels: Iterable[Tensor], normals: Tensor
    ) -> Tensor:
        """The same (H, n, D) of H distributions, with normals (H, n, D) for labels (n,) of each."""
        pairs = list(zip(distributions, labels, strict=True))
        variances = stacked([each.variances[own] for each, own in pairs])
        return normals * variances.sqrt() + stacked([each.prototypes[own] for each, own in pairs])
