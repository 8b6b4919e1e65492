"""Losses of the classes' information density (Ma et al., 2025), on Seesaw, focal and C2AM loss.

There is no official code; what the paper leaves open is decided in these classes and in
`bacl.losses.information_density`. P: foreground rows. C: foreground classes.
"""

import math

import torch
from torch import Tensor

from bacl.indicators import LongTermIndicator
from bacl.losses.base import ClassificationLoss
from bacl.losses.c2am import C2AM
from bacl.losses.efl import EFL
from bacl.losses.information_density import InformationDensity
from bacl.losses.rows import Rows
from bacl.losses.seesaw import Seesaw
from bacl.options.ranges import (
    Classes,
    FeatureDim,
    NotNegative,
    Positive,
    Probability,
    Seed,
    Share,
    Width,
)


class OfDensity(ClassificationLoss):
    """A loss that follows the information density of the classes; before the loss it is made from.

    Its constructor makes the density.
    """

    reads_rows = True
    density: InformationDensity

    def forward(self, logits: Tensor, labels: Tensor, rows: Rows | None = None) -> Tensor:
        """As the loss that it is made from."""
        return super().forward(logits, labels)  # type: ignore[safe-super]

    @torch.no_grad()
    def observe(self, logits: Tensor, labels: Tensor, rows: Rows | None = None) -> None:
        """Let the density see the step's objects, too."""
        assert rows is not None
        super().observe(logits, labels)
        self.density.observe(rows)


class IDGSeesaw(OfDensity, Seesaw):
    """Seesaw loss whose factors S_ij are multiplied by (density of i / density of j)^exponent.

    Args:
        num_classes: C.
        feature_dim: D.
        mitigation: see `Seesaw`.
        compensation: see `Seesaw`.
        exponent: k, a hyper-parameter of the paper without a value in what is known of it.
        width: of embeddings, see `InformationDensity`.
        seed: of their subspace.
        indicator: see `ClassificationLoss`.
    """

    def __init__(
        self,
        num_classes: Classes,
        feature_dim: FeatureDim,
        mitigation: NotNegative,
        compensation: NotNegative,
        exponent: NotNegative,
        width: Width,
        seed: Seed,
        indicator: LongTermIndicator | None = None,
    ) -> None:
        super().__init__(num_classes, mitigation, compensation, indicator)
        self.exponent = exponent
        self.density = InformationDensity(num_classes, feature_dim, width, seed)

    def log_factors(self, logits: Tensor, labels: Tensor, counts: Tensor) -> Tensor:
        """See `Seesaw.log_factors`."""
        ratios = self.density.ratios(labels).log().to(logits.dtype)
        return super().log_factors(logits, labels, counts) + self.exponent * ratios


class IDGFocal(OfDensity, EFL):
    """Equalized focal loss whose weights are multiplied by the classes' densities (IDG-FL).

    Args:
        num_classes: C.
        feature_dim: D.
        prior: see `EFL`, as for gamma, scale and alpha.
        gamma: least exponent.
        scale: by how much it grows at most.
        alpha: weight of the own class.
        width: of embeddings, see `InformationDensity`.
        seed: of their subspace.
        indicator: see `ClassificationLoss`.
    """

    def __init__(
        self,
        num_classes: Classes,
        feature_dim: FeatureDim,
        prior: Probability,
        gamma: Positive,
        scale: NotNegative,
        alpha: Share,
        width: Width,
        seed: Seed,
        indicator: LongTermIndicator | None = None,
    ) -> None:
        super().__init__(num_classes, prior, gamma, scale, alpha, indicator)
        self.density = InformationDensity(num_classes, feature_dim, width, seed)

    def weights(self) -> Tensor:
        """See `EFL.weights`."""
        return super().weights() * self.density.mapped


class IDGC2AM(OfDensity, C2AM):
    """C2AM with margins alpha / pi · density of i / density of j between all classes i and j.

    Args:
        num_classes: C.
        feature_dim: D.
        alpha: factor of the margins.
        width: of embeddings, see `InformationDensity`.
        seed: of their subspace.
        indicator: see `ClassificationLoss`.
    """

    def __init__(
        self,
        num_classes: Classes,
        feature_dim: FeatureDim,
        alpha: NotNegative,
        width: Width,
        seed: Seed,
        indicator: LongTermIndicator | None = None,
    ) -> None:
        super().__init__(num_classes, alpha, indicator)
        self.density = InformationDensity(num_classes, feature_dim, width, seed)

    def forward(self, logits: Tensor, labels: Tensor, rows: Rows | None = None) -> Tensor:
        """See `C2AM.forward`."""
        assert rows is not None
        return C2AM.forward(self, logits, labels, rows)

    def margins(self, rows: Rows, labels: Tensor) -> Tensor:
        """See `C2AM.margins`."""
        margins = self.alpha / math.pi * self.density.ratios(labels)
        return margins.scatter(1, labels.unsqueeze(1), 0.0)
