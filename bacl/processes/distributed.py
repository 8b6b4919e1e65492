"""The one module that names `torch.distributed`; without a group, calls are the identity."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


class PeerFailedError(RuntimeError):
    """Another process failed in a block of `failing_together`, and said so."""


@dataclass
class _Block:
    """Of `failing_together`: whether this process is in it, and the group by which it asks."""

    entered: bool = False
    world: Any = None
    group: Any = None


_BLOCK = _Block()


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
    _ask_in_block()
    total = value.clone()
    dist.all_reduce(total)
    return total


def gather_objects(value: T) -> list[T]:
    """`value` of every process, in rank order, on every process."""
    if num_processes() == 1:
        return [value]
    _ask_in_block()
    gathered = [value] * num_processes()
    dist.all_gather_object(gathered, value)
    return gathered


@contextmanager
def failing_together() -> Iterator[None]:
    """A block that fails on every process where it fails on one, and leaves none waiting.

    Before each collective in it, and at its end, the processes ask each other whether one has
    failed (one number over CPUs). Every process enters it, and does the same collectives in it.
    Blocks are not nested.

    Raises:
        PeerFailedError: on the processes that did not fail themselves.
    """
    if num_processes() == 1:
        yield
        return
    _BLOCK.entered = True
    try:
        yield
        _ask(failed=False)
    except PeerFailedError:
        raise
    except Exception:
        _ask(failed=True)
        raise
    finally:
        _BLOCK.entered = False


def _ask_in_block() -> None:
    if _BLOCK.entered:
        _ask(failed=False)


def _ask(failed: bool) -> None:
    """Tell the others whether this process has failed, and hear it of them."""
    count = torch.full((), float(failed))
    dist.all_reduce(count, group=_cpu_group())
    if count and not failed:
        raise PeerFailedError("another process failed")


def _cpu_group() -> Any:
    """A group that sums what is on the CPU: all processes, made by all when they first ask."""
    if _BLOCK.world is not dist.group.WORLD:
        _BLOCK.world = dist.group.WORLD
        own = "gloo" in str(dist.get_backend())
        _BLOCK.group = None if own else dist.new_group(backend="gloo")
    return _BLOCK.group
