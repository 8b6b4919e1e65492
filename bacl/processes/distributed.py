"""The one module that names `torch.distributed`; without a group, calls are the identity."""

from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


def num_processes() -> int:
    """Number of processes that train together (1 without a process group)."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def process_rank() -> int:
    """Index of this process in [0, num_processes())."""
    return dist.get_rank() if num_processes() > 1 else 0


@torch.no_grad()
def sum_over_processes(value: Tensor) -> Tensor:
    """The sum of `value` over all processes, on every process.

    Every process must call it, also one without anything to add: a collective inside a condition
    hangs.
    """
    if num_processes() == 1:
        return value
    total = value.clone()
    dist.all_reduce(total)
    return total


def gather_objects(value: T) -> list[T]:
    """`value` of every process, in rank order, on every process."""
    if num_processes() == 1:
        return [value]
    gathered = [value] * num_processes()
    dist.all_gather_object(gathered, value)
    return gathered
