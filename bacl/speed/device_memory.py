"""What a process takes of its device's memory, and how much there is; nothing waits for a GPU."""

import ctypes
import re
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import torch

from bacl.processes.control_groups import settings

GIB = 2**30
_STATUS, _MACHINE = Path("/proc/self/status"), Path("/proc/meminfo")
_CLEAR, _PEAK = Path("/proc/self/clear_refs"), "5"
"""Where a process may write that its peak is to begin anew (`man 5 proc_pid_clear_refs`)."""


class DeviceMemory(Protocol):
    """Of a device, in bytes."""

    name: str

    def start(self) -> int:
        """Begin to look for the peak; what is taken now."""

    def taken(self) -> int:
        """What is taken now."""

    def peak(self) -> int:
        """The most that was taken since."""

    def limit(self) -> int:
        """As much as this process can take."""


class CudaMemory:
    """What tensors take; what torch holds in reserve for them is a little more."""

    def __init__(self, device: torch.device) -> None:
        self.name = str(device)
        self._device = device

    def start(self) -> int:
        """Begin to look for the peak; what is taken now."""
        torch.cuda.reset_peak_memory_stats(self._device)
        return self.taken()

    def taken(self) -> int:
        """What is taken now."""
        return torch.cuda.memory_allocated(self._device)

    def peak(self) -> int:
        """The most that was taken since."""
        return torch.cuda.max_memory_allocated(self._device)

    def limit(self) -> int:
        """What is free, and what torch has reserved: without what other processes hold."""
        return torch.cuda.mem_get_info(self._device)[0] + torch.cuda.memory_reserved(self._device)


class ProcessMemory:
    """What the process itself takes of the machine's memory, without processes that load data.

    Where the system lets no peak begin anew, and an earlier one was higher, it is what is taken at
    the end: too little rather than what an earlier stage, or the start, took.
    """

    name = "the CPU"

    def __init__(self) -> None:
        self._before = 0

    def start(self) -> int:
        """Begin to look for the peak; what is taken now, without what was freed before.

        The C library keeps that for later, so that a step would seem to take next to nothing.
        """
        with suppress(OSError, AttributeError):  # of another C library
            ctypes.CDLL(None).malloc_trim(0)
        with suppress(OSError):
            _CLEAR.write_text(_PEAK, encoding="ascii")
        self._before = _kilobytes(_STATUS, "VmHWM")
        return self.taken()

    def taken(self) -> int:
        """What is taken now."""
        return _kilobytes(_STATUS, "VmRSS") * 1024

    def peak(self) -> int:
        """The most that was taken since."""
        most = _kilobytes(_STATUS, "VmHWM")
        return 1024 * most if most > self._before else self.taken()

    def limit(self) -> int:
        """Of the machine or, if that is less, of the container."""
        found = settings("memory", "memory.max", "memory.limit_in_bytes")
        allowed = [int(text) for words in found for text in words if text.isdecimal()]
        return min([_kilobytes(_MACHINE, "MemTotal") * 1024, *allowed])


def memory_of(device: torch.device) -> DeviceMemory | None:
    """Of a device; None where the system does not tell."""
    if device.type == "cuda":
        return CudaMemory(device)
    told = device.type == "cpu" and _STATUS.is_file() and _kilobytes(_STATUS, "VmHWM") > 0
    return ProcessMemory() if told else None


def _kilobytes(file: Path, name: str) -> int:
    """A number of a file of lines like `VmRSS:   1234 kB`."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", file.read_text(encoding="ascii"), re.MULTILINE)
    return int(found[1]) if found else 0
