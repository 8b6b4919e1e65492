"""Parameter groups of a stage's optimiser, one for the detector and one for each head."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.optim import Optimizer

from bacl.detectors.scaled_parameters import ScaledParameters

PART, SHARE = "part", "share"
"""In a group: the part that it is of, if not the whole of it, and its share of the part's rate."""


def parameter_groups(parts: Mapping[str, nn.Module]) -> list[dict[str, Any]]:
    """A group for each part of which something trains, at the rate and decay that it asks for.

    What a part says of `scaled_parameters` has groups of its own.
    """
    groups = [group for name, part in parts.items() for group in _groups(name, part)]
    return [group for group in groups if group["params"]]


def clip_each_group(optimizer: Optimizer, limit: float, algorithm: str | None) -> None:
    """Clip the gradients of every part by itself: a norm over all would couple the heads.

    Args:
        optimizer: its groups' gradients are clipped, those of one part together.
        limit: of a part's norm, or of each of its values.
        algorithm: "value", or anything else for the norm, as Lightning names them.
    """
    clip = clip_grad_value_ if algorithm == "value" else clip_grad_norm_
    parts: dict[str, list[nn.Parameter]] = {}
    for group in optimizer.param_groups:
        parts.setdefault(group.get(PART, group["name"]), []).extend(group["params"])
    for parameters in parts.values():
        clip(parameters, limit)


def _groups(name: str, part: nn.Module) -> list[dict[str, Any]]:
    own = _options(part)
    scaled: Sequence[ScaledParameters] = getattr(part, "scaled_parameters", tuple)()
    apart = {parameter for each in scaled for parameter in each.parameters}
    rest = {**own, "params": [p for p in own["params"] if p not in apart]}
    return [{"name": name, **rest}, *(_scaled(name, own, each) for each in scaled)]


def _scaled(name: str, own: Mapping[str, Any], scaled: ScaledParameters) -> dict[str, Any]:
    return {
        **own,
        **({} if scaled.decays else {"weight_decay": 0.0}),
        "name": f"{name}.{scaled.name}",
        "params": [p for p in scaled.parameters if p.requires_grad],
        PART: name,
        SHARE: scaled.rate,
    }


def _options(part: nn.Module) -> dict[str, Any]:
    asked = {
        "lr": getattr(part, "learning_rate", None),
        "weight_decay": getattr(part, "weight_decay", None),
    }
    own = {option: value for option, value in asked.items() if value is not None}
    return {"params": [p for p in part.parameters() if p.requires_grad], **own}
