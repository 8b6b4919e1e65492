"""How a pretrained plain ViT becomes the backbone of a detector: what of it trains, how fast."""

import re
from abc import ABC, abstractmethod

from torch import nn

from bacl.detectors.scaled_parameters import ScaledParameters
from bacl.detectors.timm_models import first_layer
from bacl.options.ranges import PositiveShare

_BLOCK = re.compile(r"blocks\.(\d+)\.")


class Adaptation(ABC):
    """What of a pretrained transformer trains.

    It is asked once, when the transformer is built, and holds no weights of its own.
    """

    @abstractmethod
    def adapt(self, model: nn.Module) -> None:
        """Freeze what does not train, and add what does."""

    def scaled_parameters(self, model: nn.Module) -> list[ScaledParameters]:
        """What trains otherwise than the rest of the detector."""
        return []

    def merge(self, model: nn.Module) -> None:
        """Make one weight of what was added and what it was added to, for good."""
        return


class Frozen(Adaptation):
    """Nothing trains: the transformer stays as it was pretrained, and costs a forward pass."""

    def adapt(self, model: nn.Module) -> None:
        """Freeze all."""
        model.requires_grad_(False)


class LayerDecay(Adaptation):
    """All trains, earlier layers more slowly.

    Of N blocks, block i (from 1) learns at `rate` ** (N + 1 - i) of the detector's learning rate,
    the patch and position embeddings (i = 0) the slowest, what comes after the last block at the
    whole of it. Vectors (biases, norms, layer scales), position embeddings and tokens have no
    weight decay. Both as in BEiT (Bao et al., ICLR 2022) and, for the rates, ViTDet.

    Args:
        rate: of one layer to the next; ViTDet has 0.7, 0.8 and 0.9 for a ViT-B, L and H.
    """

    def __init__(self, rate: PositiveShare) -> None:
        self.rate = rate

    def adapt(self, model: nn.Module) -> None:
        """Everything trains."""

    def scaled_parameters(self, model: nn.Module) -> list[ScaledParameters]:
        """A group for each layer, and one for what of it does not decay."""
        last = len(model.blocks) + 1  # type: ignore[arg-type]
        spared = set(model.no_weight_decay())  # type: ignore[operator]
        first = first_layer(model)
        groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
        for name, parameter in model.named_parameters():
            block = _BLOCK.match(name)
            layer = int(block[1]) + 1 if block else 0 if name in first else last
            decays = parameter.dim() > 1 and name not in spared
            groups.setdefault((layer, decays), []).append(parameter)
        return [
            ScaledParameters(
                f"layer_{layer}{'' if decays else '_without_decay'}",
                parameters,
                self.rate ** (last - layer),
                decays,
            )
            for (layer, decays), parameters in sorted(groups.items(), key=lambda group: group[0])
        ]
