"""Commands, and what each of their processes holds while they run. Reads /proc of Linux."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

EVERY = 0.5  # seconds between two looks
FIELDS = {"Rss": "mapped", "Pss": "its share", "Private_Dirty": "alone"}
"""Of smaps_rollup: all that a process can read; the same with what is shared divided by those that
share it; and what none shares: what a loader has copied of its parent's, or made itself."""
Memory = dict[str, int]


@dataclass
class Command:
    """A command in a session of its own, which is looked at while it runs."""

    words: Sequence[str]
    log: Path
    peaks: dict[str, Memory] = field(default_factory=dict)
    """By process, `main` and `worker 1` and so on: the most KiB of each field, and of all."""
    seconds: float = 0.0
    code: int = 0
    signalled: bool = False
    """Whether it got its signal."""
    _names: dict[int, str] = field(default_factory=dict)

    def run(self, ended: Callable[[], bool] = lambda: False, by: int = signal.SIGTERM) -> "Command":
        """Start it and wait; once `ended` says so, it gets the signal `by`."""
        start = time.perf_counter()
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self.words, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        self._names[process.pid] = "main"
        while process.poll() is None:
            self._look(process.pid)
            if not self.signalled and ended():
                # A kill is one of all: its workers would go on for a while.
                os.killpg(process.pid, by) if by == signal.SIGKILL else process.send_signal(by)
                self.signalled = True
            time.sleep(EVERY)
        self.seconds, self.code = time.perf_counter() - start, process.returncode
        return self

    def _look(self, main: int) -> None:
        found = {self._name(pid): memory for pid in _family(main) if (memory := _memory(pid))}
        found["all"] = {key: sum(each[key] for each in found.values()) for key in FIELDS}
        for name, memory in found.items():
            before = self.peaks.setdefault(name, dict.fromkeys(FIELDS, 0))
            self.peaks[name] = {key: max(before[key], memory[key]) for key in FIELDS}

    def _name(self, pid: int) -> str:
        return self._names.setdefault(pid, f"worker {len(self._names)}")

    def told(self) -> list[str]:
        """A line for each process, MiB."""
        lines = []
        for name, memory in self.peaks.items():
            cells = [f"{memory[key] / 1024:>10.0f} MiB {FIELDS[key]}" for key in FIELDS]
            lines.append(f"  {name:<10}" + "".join(cells))
        return lines


def _family(pid: int) -> list[int]:
    """A process and those that it has started, and so on."""
    found = [pid]
    for each in found:
        with suppress(OSError):
            for task in Path(f"/proc/{each}/task").iterdir():
                found += map(int, (task / "children").read_text(encoding="ascii").split())
    return found


def _memory(pid: int) -> Memory:
    with suppress(OSError):  # it has ended
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        lines = dict(line.split(":", 1) for line in text.splitlines()[1:])
        return {key: int(lines[key].split()[0]) for key in FIELDS}
    return {}
