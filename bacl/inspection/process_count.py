"""How many processes a training will have, by the options of Lightning's trainer."""

from collections.abc import Sequence
from typing import Any

import torch

from bacl.messages.errors import require


def has_gpu(accelerator: str) -> bool:
    """Whether the trainer will take a GPU."""
    return accelerator != "cpu" and torch.cuda.is_available()


def processes(devices: Any, nodes: int, accelerator: str) -> int:
    """One for each device, of all machines.

    Args:
        devices: `trainer.devices`: a number, a list of devices or its text ("0,1"); "auto" and -1
            for all GPUs, or for one process where there is none.
        nodes: `trainer.num_nodes`.
        accelerator: `trainer.accelerator`.

    Raises:
        OptionError: one of them is no number of any.
    """
    require("trainer.num_nodes", nodes, 1)
    count = _devices(devices, accelerator)
    require("trainer.devices", count, 1)
    return count * nodes


def _devices(devices: Any, accelerator: str) -> Any:
    """Their number, or what is none."""
    if isinstance(devices, str):
        text = devices.strip()
        if "," in text:
            devices = [each for each in text.split(",") if each.strip()]
        else:
            devices = int(text) if text.removeprefix("-").isdecimal() else text
    if devices in ("auto", -1, [-1]):
        return torch.cuda.device_count() if has_gpu(accelerator) else 1
    several = isinstance(devices, Sequence) and not isinstance(devices, str)
    return len(devices) if several else devices
