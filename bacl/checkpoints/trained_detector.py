"""A trained detector of any classes, in our names and our order of classes, to start from.

G: its classes. D: width of an RoI feature.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from bacl.detectors.any_detector import FIRST
from bacl.losses import ClassificationLoss

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class TrainedHead:
    """A classifier head of it."""

    levels: Mapping[str, State]
    """Rows of the layer to logits by the level's name: "weight" (K, D) and, mostly, "bias" (K,);
    the first G are those of the classes, then what the loss has besides, as background."""
    loss: type[ClassificationLoss] | None
    """That it was trained with, or one that scores alike; None where that is not known."""
    predictor: type[nn.Module] | None
    """Kind of the layer; None where that is not known."""


@dataclass(frozen=True)
class TrainedDetector:
    """What of a file can be the start of another training."""

    told: str
    """What it is, in words."""
    detector: State
    """Tensors by our detector's names; of classes (box regression, masks) those of G classes."""
    heads: Mapping[str, TrainedHead]
    """By name."""
    names: tuple[str | None, ...] | None
    """Of its G classes in label order, None for one without a name; None where nobody knows them.
    """
    mask_predictor: type[nn.Module] | None = None
    """Kind of the layer to masks; None where that is not known."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Why nothing is made of other parts of the file, by their names in it."""
    suggestion: str = "the detector options that it was trained with"
    """Options that take all of it, in words."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of a detector of ours, plain values as its file has them; none where nobody knows them."""

    @property
    def known_names(self) -> list[str]:
        """Names of its classes that have one."""
        return [name for name in self.names or () if name is not None]


def single_level(state: State) -> dict[str, State]:
    """Levels of a head with one."""
    return {FIRST: state}
