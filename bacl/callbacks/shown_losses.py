"""Losses of a step as a progress bar has room for them."""

from collections.abc import Mapping

import torch
from torch import Tensor

from bacl.loggers.measurements import Quantity

SHOWN_LOSSES = 8
"""Most losses that a line has room for."""


def shown_losses(losses: Mapping[Quantity, Tensor]) -> dict[str, float]:
    """Values by short names, of many heads their mean; all are read with one wait for the device.

    Args:
        losses: scalars; none before the first step.
    """
    of_heads = [loss for quantity, loss in losses.items() if quantity.head]
    shown = {_short(quantity): loss for quantity, loss in losses.items()}
    if len(losses) > SHOWN_LOSSES and of_heads:
        shown = {quantity.part: loss for quantity, loss in losses.items() if not quantity.head}
        shown[f"mean of {len(of_heads)} heads"] = torch.stack(of_heads).mean()
    values = torch.stack([*shown.values()]).tolist() if shown else []
    return dict(zip(shown, values, strict=True))


def _short(quantity: Quantity) -> str:
    """`train/rpn_box` as rpn_box, `train/bacl/classification` as bacl."""
    return quantity.head or quantity.part
