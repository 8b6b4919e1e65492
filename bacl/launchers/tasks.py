"""Processes of a multirun: started, watched, and stopped with the launcher."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

from bacl.command.check import CHECKED
from bacl.files.atomic import remove, telling_refusal
from bacl.files.lock import PATIENCE, BusyFolderError, lock
from bacl.launchers.jobs import Job
from bacl.messages.errors import BUSY
from bacl.processes.interruption import INTERRUPTION, TOGETHER
from bacl.processes.peers import AGAIN
from bacl.runs.outcome import FAILED, write_failed

LOG = "job.log"
HYDRAS_ADVICE = "Set the environment variable HYDRA_FULL_ERROR=1"
"""In the line after the error itself."""


@dataclass
class Task:
    """A process, and the jobs that it is to finish."""

    title: str
    folder: Path
    """Where its log lies."""
    command: list[str]
    jobs: Sequence[Job]
    patience: float = PATIENCE
    """Seconds that another launcher's process is waited for."""
    before: Callable[[], None] | None = None
    """Writes what the process reads, once no other launcher's process is at work."""

    @property
    def log(self) -> Path:
        """Everything that the process says."""
        return self.folder / LOG

    def run(self, processes: "Processes") -> None:
        """Run the command to its end, say how it ended, and note a failure in the jobs' folders.

        Where another launcher's process is at work, it is left alone, and so is its log.
        """
        if processes.stopped is not None:
            return
        try:
            with self._own_log() as output:
                if self.before is not None:
                    self.before()
                self._run(processes, output)
        except BusyFolderError as error:
            self._note_status(BUSY)
            print(f"{self.title}: not started; {error}", flush=True)

    @contextmanager
    def _own_log(self) -> Iterator[IO[bytes]]:
        with telling_refusal(self.log):
            self.folder.mkdir(parents=True, exist_ok=True)
            output = self.log.open("ab")
        with output:
            # The process inherits the file and with it the lock, should it outlive the launcher.
            lock(output.fileno(), self.folder, self.patience)
            yield output

    def _run(self, processes: "Processes", output: IO[bytes]) -> None:
        for job in self.jobs:
            if job.trains:
                remove(job.folder / FAILED)
        print(f"{self.title}: started, log in {self.log}", flush=True)
        began = time.monotonic()
        status = processes.run(self.command, output)
        self._note_status(status)
        if status not in (0, BUSY) and processes.stopped is None:
            self._note_failure(status)
        spent = timedelta(seconds=round(time.monotonic() - began))
        end = self._end(status) if processes.stopped is None else "stopped"
        print(f"{self.title}: {end} after {spent}", flush=True)

    def _note_status(self, status: int) -> None:
        for job in self.jobs:
            job.exit_status = status

    def _end(self, status: int) -> str:
        if status:
            return f"failed ({self._reason(status)})"
        measures = self.jobs[0].outcome.measures
        return f"AP {100 * measures['AP']:.1f}" if len(self.jobs) == 1 and measures else "done"

    def _reason(self, status: int) -> str:
        if status < 0:
            name = signal.Signals(-status).name
            return f"killed by {name}{' (out of memory?)' * (name == 'SIGKILL')}; see {self.log}"
        return f"{_last_line(self.log)} (exit status {status}); see {self.log}"

    def _note_failure(self, status: int) -> None:
        reason = self._reason(status)
        for job in self.jobs:
            if job.trains and job.outcome.status != "done":
                write_failed(job.folder, reason)


class Processes:
    """Running child processes; SIGTERM and Ctrl-C are handed on to them."""

    def __init__(self) -> None:
        self.running: set[subprocess.Popen] = set()
        self.stopped: int | None = None
        """The signal that told this process to stop."""
        self._stopped_at = 0.0

    def run(self, command: Sequence[str], output: IO[bytes]) -> int:
        """Run a command with its output appended to a file; returns its exit status."""
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=os.environ | {CHECKED: "1"}
        )
        self.running.add(process)
        if self.stopped is not None:
            process.terminate()
        try:
            return process.wait()
        finally:
            self.running.discard(process)

    def stop(self, number: int, frame: Any) -> None:
        """Tell every child to end, which saves what it has done; at once, if told twice."""
        again = self.stopped is not None and time.monotonic() - self._stopped_at > TOGETHER
        if self.stopped is None:
            self.stopped, self._stopped_at = number, time.monotonic()
        for process in list(self.running):
            process.kill() if again else process.terminate()


def run_all(tasks: Sequence[Task], parallel: int) -> None:
    """Run the tasks, `parallel` at a time.

    Raises:
        SystemExit: this process was told to stop; its children have ended.
    """
    with _handing_on() as processes, ThreadPoolExecutor(max(1, parallel)) as pool:
        for future in [pool.submit(task.run, processes) for task in tasks]:
            future.result()
    if processes.stopped is not None:
        name = signal.Signals(processes.stopped).name
        print(f"the jobs were ended by {name}; {AGAIN}", file=sys.stderr)
        raise SystemExit(128 + processes.stopped)


@contextmanager
def _handing_on() -> Iterator[Processes]:
    processes = Processes()
    numbers = (signal.SIGTERM, signal.SIGINT)
    earlier = {number: signal.signal(number, processes.stop) for number in numbers}
    try:
        with INTERRUPTION.left_to_caller():
            yield processes
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    told = (line.strip() for line in reversed(lines) if HYDRAS_ADVICE not in line)
    return next((line for line in told if line), "no output")
