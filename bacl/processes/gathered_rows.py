"""Rows of all processes, for what remembers more of them than sums."""

import torch
from torch import Tensor

from bacl.processes.distributed import num_processes, process_rank, sum_over_processes


@torch.no_grad()
def gather_rows(rows: Tensor) -> Tensor:
    """(sum of N, X) the rows (N, X) of all processes, in their order, on every process.

    Every process calls it together, also one without rows. They are gathered by a sum, so that
    processes may have different numbers of them.

    Args:
        rows: of a floating type.
    """
    if num_processes() == 1:
        return rows
    counts = torch.zeros(num_processes(), dtype=torch.int64, device=rows.device)
    counts[process_rank()] = len(rows)
    counted = sum_over_processes(counts).tolist()
    start = sum(counted[: process_rank()])
    gathered = rows.new_zeros(sum(counted), *rows.shape[1:])
    gathered[start : start + len(rows)] = rows
    return sum_over_processes(gathered)
