"""How many cores this process may compute on: those of its affinity, within its container's share.

A container is usually limited by a quota of processor time, and sees all cores of its machine. Who
starts a process or thread for each of them gets many that are stopped in turn.
"""

import math
import os
from collections.abc import Iterator, MutableMapping

from bacl.processes.control_groups import settings


def usable_cores() -> int:
    """At least 1. A quota of a part of a core counts as a whole one."""
    allowed = _allowed()
    return max(1, min(allowed, math.ceil(min(_quotas(), default=allowed))))


def limit_threads(environment: MutableMapping[str, str]) -> None:
    """Where a quota is narrower than the affinity, have libraries start as few threads.

    Args:
        environment: of this process, before torch is imported: OpenMP reads it then. A number of
            threads that somebody chose stays.
    """
    if usable_cores() < _allowed():
        environment.setdefault("OMP_NUM_THREADS", str(usable_cores()))


def _allowed() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas() -> Iterator[float]:
    """In cores; "max", or -1, is none."""
    for words in settings("cpu", "cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us"):
        if len(words) == 2 and all(map(str.isdecimal, words)) and int(words[1]) > 0:
            yield int(words[0]) / int(words[1])
