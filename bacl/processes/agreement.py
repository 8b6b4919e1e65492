"""What all processes of a training agree on, once in every step."""

import math
import time

import torch
from torch import Tensor

from bacl.processes.distributed import num_processes, process_rank, sum_over_processes
from bacl.processes.interruption import INTERRUPTION


class Agreement:
    """Whether a step's losses are finite, the training is told to end, and it is time to save.

    Clocks differ, and a signal reaches one process before another: what one of them does alone
    leaves the others waiting. One sum and one wait for the device answer all three questions. A
    process that trains alone asks nobody, and at any moment.
    """

    def __init__(self, minutes: float = math.inf) -> None:
        """It is time to save so many minutes after the last time."""
        self._seconds = 60 * minutes
        self._saved_at = time.monotonic()
        self._ends = self._saves = False

    def reach(self, wrong: Tensor) -> list[float]:
        """Agree; every process must call it in the same step.

        Args:
            wrong: float tensor (K,), 0 for each loss that is finite on this process, else NaN or 1.

        Returns:
            the sum over the processes for each of the K losses: 0 where it is finite on all.
        """
        if num_processes() == 1:
            return wrong.tolist()
        asked = wrong.new_full((1,), float(INTERRUPTION.asked is not None))
        late = wrong.new_full((1,), float(self._is_late and process_rank() == 0))
        *failed, ends, saves = sum_over_processes(torch.cat([wrong, asked, late])).tolist()
        self._ends, self._saves = ends > 0, saves > 0
        return failed

    @property
    def ends(self) -> bool:
        """Whether a process was told to end before this step."""
        return self._ends if num_processes() > 1 else INTERRUPTION.asked is not None

    @property
    def saves(self) -> bool:
        """Whether it is time to save, by the first process' clock."""
        return self._saves if num_processes() > 1 else self._is_late

    def ends_now(self, device: torch.device) -> bool:
        """Whether a process was told to end; outside of a step, and on every process."""
        if num_processes() == 1:
            return self.ends
        told = torch.full((), float(INTERRUPTION.asked is not None), device=device)
        return bool(sum_over_processes(told))

    def saved(self) -> None:
        """All processes have saved, or begin."""
        self._saved_at, self._saves = time.monotonic(), False

    @property
    def _is_late(self) -> bool:
        return time.monotonic() - self._saved_at >= self._seconds
