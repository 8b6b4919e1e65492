"""Models that a file describes are built only once the file is known to hold weights for them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from bacl.checkpoints.handover import CheckpointError

PARTS_PER_TENSOR, PARTS = 24, 1000
"""No model of n tensors takes more than 24 n + 1000 modules and parameters to build.

Plain ViTs of timm take 12 n: a third of their modules have no tensor, and they are made several
times over, to ask for their options.
"""
UNSAVED = 10_000_000
"""Numbers that a model may have beside those that its file holds."""


def require_fitting(build: Callable[[], nn.Module], content: Mapping[str, Any], path: Path) -> None:
    """Refuse a model that is far larger than its file, before there is memory for it.

    Args:
        build: makes the model, here without any numbers in it.
        content: of the checkpoint.
        path: of the checkpoint, for the message.

    Raises:
        CheckpointError: names both sizes.
    """
    saved = [value.numel() for value in _tensors(content)]
    with torch.device("meta"), _counted(PARTS + PARTS_PER_TENSOR * len(saved), path):
        model = build()
    wanted = sum(value.numel() for value in (*model.parameters(), *model.buffers()))
    if wanted > sum(saved) + UNSAVED:
        raise CheckpointError(
            f"{path}: its configuration describes a model of {wanted:,} numbers, but the file has "
            f"{sum(saved):,}"
        )


@contextmanager
def _counted(limit: int, path: Path) -> Iterator[None]:
    """Modules and parameters that are made meanwhile end it when they become too many."""
    made = 0

    def count(*args: Any) -> None:
        nonlocal made
        made += 1
        if made > limit:
            raise CheckpointError(
                f"{path}: its configuration describes a model of more than {limit:,} parts, many "
                "times what the file holds"
            )

    with ExitStack() as stack:
        stack.callback(hooks.register_module_module_registration_hook(count).remove)
        stack.callback(hooks.register_module_parameter_registration_hook(count).remove)
        yield


def _tensors(content: Any) -> Iterator[Tensor]:
    if isinstance(content, Tensor):
        yield content
    elif isinstance(content, Mapping):
        for value in content.values():
            yield from _tensors(value)
