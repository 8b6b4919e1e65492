"""How many cores this process may compute on: those of its affinity, within its container's share.

A container is usually limited by a quota of processor time, and sees all cores of its machine. Who
starts a process or thread for each of them gets many that are stopped in turn.
"""

import math
import os
from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
"""Where Linux shows control groups."""
MEMBERSHIP = Path("/proc/self/cgroup")
"""In which of them this process is."""


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
    """In cores, of the groups that this process is in and those around them, where there are some.

    Of both versions of control groups: docs.kernel.org/admin-guide/cgroup-v2.html, `cpu.max`, and
    docs.kernel.org/scheduler/sched-bwc.html, `cpu.cfs_quota_us`. A container may be told its path
    on the host, of which it sees the last folder as the first: the groups around are looked at too.
    """
    try:
        lines = MEMBERSHIP.read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux, or one that does not show it
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        below = Path(path.lstrip("/"))
        for group in (below, *below.parents):
            with suppress(OSError, ValueError):  # no such group here, or no limit is set
                if not controllers:
                    yield _share(*(GROUPS / group / "cpu.max").read_text(encoding="ascii").split())
                elif "cpu" in controllers.split(","):
                    folder = GROUPS / "cpu" / group
                    names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
                    yield _share(*((folder / name).read_text(encoding="ascii") for name in names))


def _share(quota: str, period: str) -> float:
    """Raises ValueError where there is no limit: "max", or -1."""
    if int(quota) <= 0:
        raise ValueError
    return int(quota) / int(period)
