import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp


@pytest.fixture(scope="session")
def two_processes() -> Callable[[Callable[[int], Any]], list[Any]]:
    """Runs a function of the rank in two processes of a gloo group; returns both results."""

    def run(worker: Callable[[int], Any]) -> list[Any]:
        with tempfile.TemporaryDirectory() as folder:
            # Forked, so that a worker need not be importable by name.
            mp.start_processes(_enter_group, (worker, folder), nprocs=2, start_method="fork")
            return [torch.load(Path(folder) / f"{rank}.pt") for rank in range(2)]

    return run


def _enter_group(rank: int, worker: Callable[[int], Any], folder: str) -> None:
    torch.set_num_threads(1)
    meeting = f"file://{folder}/meeting"
    # Processes that call different collectives fail instead of waiting for each other.
    patience = timedelta(seconds=30)
    dist.init_process_group("gloo", init_method=meeting, timeout=patience, rank=rank, world_size=2)
    torch.save(worker(rank), Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()
