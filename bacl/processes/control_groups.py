"""What Linux's control groups allow this process, as in a container.

Of both versions: docs.kernel.org/admin-guide/cgroup-v2.html, and
docs.kernel.org/admin-guide/cgroup-v1/, where each controller has folders of its own.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
"""Where Linux shows control groups."""
MEMBERSHIP = Path("/proc/self/cgroup")
"""In which of them this process is."""


def settings(controller: str, unified: str, *earlier: str) -> Iterator[list[str]]:
    """What is set for the groups that this process is in, and for those around them.

    A container may be told its path on the host, of which it sees the last folder as the first: so
    groups around are looked for from there, too.

    Args:
        controller: "cpu" or "memory".
        unified: name of the setting in the second version.
        earlier: names of the settings in the first.

    Returns:
        Words of each group's setting, or settings; none where there are no control groups.
    """
    try:
        lines = MEMBERSHIP.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    except OSError:  # no Linux, or one that does not show it
        return
    for line in (each for each in lines if each.count(":") > 1):
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root, names = (GROUPS / controller, earlier) if controllers else (GROUPS, (unified,))
        own = Path(path.lstrip("/"))
        for group in (own, *own.parents):
            with suppress(OSError):  # not here, or nothing is set
                files = [root / group / name for name in names]
                texts = [each.read_text(encoding="ascii", errors="replace") for each in files]
                yield " ".join(texts).split()
