"""Parameter groups of a stage's optimiser, one for the detector and one for each head."""

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.optim import Optimizer


def parameter_groups(parts: Mapping[str, nn.Module]) -> list[dict[str, Any]]:
    """A group for each part of which something trains, at the rate and decay that it asks for."""
    groups = [{"name": name, **_options(part)} for name, part in parts.items()]
    return [group for group in groups if group["params"]]


def clip_each_group(optimizer: Optimizer, limit: float, algorithm: str | None) -> None:
    """Clip the gradients of every group by itself: a norm over all would couple the heads.

    Args:
        optimizer: its groups' gradients are clipped.
        limit: of a group's norm, or of each of its values.
        algorithm: "value", or anything else for the norm, as Lightning names them.
    """
    clip = clip_grad_value_ if algorithm == "value" else clip_grad_norm_
    for group in optimizer.param_groups:
        clip(group["params"], limit)


def _options(part: nn.Module) -> dict[str, Any]:
    asked = {
        "lr": getattr(part, "learning_rate", None),
        "weight_decay": getattr(part, "weight_decay", None),
    }
    own = {option: value for option, value in asked.items() if value is not None}
    return {"params": [p for p in part.parameters() if p.requires_grad], **own}
