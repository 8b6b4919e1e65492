"""Parameters of a detector that an optimiser treats otherwise than the rest."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class ScaledParameters:
    """Parameters that train at a share of the detector's learning rate."""

    name: str
    """Unique among those of a backbone."""
    parameters: Sequence[nn.Parameter]
    rate: float
    """The share, in (0, 1]."""
    decays: bool
    """Whether the optimiser's weight decay holds for them."""
