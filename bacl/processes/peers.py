"""Processes that train together end together: none waits for another that is no more."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb

from bacl.messages.errors import UserError, in_one_line

AFTER_THE_FIRST = 3.0
"""Seconds between the end of the first process and that of the others, where all is well."""
PATIENCE = 5.0
"""Seconds in which a lost process is found out, after a collective has failed."""
AGAIN = "run the same command to go on"
_LOST = (
    r"Connection (closed|reset) by peer|Broken pipe|remote process exited|Socket closed"
    r"|recvValue failed|sendBytes failed|recvBytes failed"
)
"""What Gloo, NCCL and the store say of a process that is no more."""
_WORKER = r"DataLoader worker \(pid.*?\) (exited unexpectedly|is killed by signal: ([\w ]+))"


class Peers:
    """The processes that this one has started to train with, or the one that has started it."""

    def __init__(self) -> None:
        self.status = 1
        """With which this process ends because of another."""
        self._started: Sequence[subprocess.Popen] = ()
        self._rank = int(os.environ.get("LOCAL_RANK", "0"))
        self._parent = os.getppid()
        self._lost_at: float | None = None

    def watch(self, processes: Sequence[subprocess.Popen]) -> None:
        """Look after these processes."""
        self._started = processes

    def hand_on(self, number: int) -> None:
        """Send a signal to every one of them that is alive."""
        for process in self._started:
            process.send_signal(number)  # skips those that have ended

    def kill(self) -> None:
        """End every one of them."""
        for process in self._started:
            process.kill()

    @property
    def speaks(self) -> bool:
        """Whether this process speaks for all that train together on this machine."""
        return self._rank == 0 or (self._rank == 1 and self._is_orphaned)

    def loss(self, patience: float) -> str:
        """One line on a process without which this one can only wait; empty if there is none.

        Args:
            patience: seconds that this process has to find out, and to end, by itself.
        """
        line = self._loss()
        self._lost_at = self._lost_at or (time.monotonic() if line else None)
        patience = max(patience, AFTER_THE_FIRST if self._is_orphaned else 0)
        late = self._lost_at is not None and time.monotonic() - self._lost_at >= patience
        return line if late else ""

    def _loss(self) -> str:
        for number, process in enumerate(self._started, start=2):
            status = process.poll()
            if status:
                self.status = status if status > 0 else 128 - status
                return f"process {number} of {len(self._started) + 1} {_end(status)}; {AGAIN}"
        return f"the first process has ended; {AGAIN}" if self._is_orphaned else ""

    @property
    def _is_orphaned(self) -> bool:
        """Whether the process that started this one has ended."""
        return self._rank > 0 and os.getppid() != self._parent


def _end(status: int) -> str:
    number = -status if status < 0 else status - 128
    if number in (signal.SIGTERM, signal.SIGINT):
        return f"was told to end by {signal.Signals(number).name}"
    if status < 0:
        name = signal.Signals(number).name
        return f"was killed by {name}{' (out of memory?)' * (name == 'SIGKILL')}"
    return f"ended with status {status}, see what it said"


class LostProcessError(UserError):
    """Another process, without which this one cannot go on, is no more."""


@contextmanager
def telling_losses() -> Iterator[None]:
    """Tell in one line that a process was lost, of the loader or of those that train together.

    Raises:
        LostProcessError: it was.
    """
    try:
        yield
    except Exception as error:
        if line := lost_worker(error):
            raise LostProcessError(line) from error
        if not lost_connection(error):
            raise
        time.sleep(PATIENCE)  # who knows which process it is ends this one, with a line
        told = in_one_line(error)
        raise LostProcessError(f"another process is no more ({told}); {AGAIN}") from error


def lost_connection(error: BaseException) -> bool:
    """Whether an error is that of a collective in which another process did not take part."""
    return isinstance(error, RuntimeError) and re.search(_LOST, str(error)) is not None


def lost_worker(error: BaseException) -> str:
    """One line on a killed process of a data loader; empty for any other error."""
    found = re.search(_WORKER, str(error)) if isinstance(error, RuntimeError) else None
    if found is None and not _failed_to_receive(error):
        return ""
    how = f"by {found[2]}" if found and found[2] else "or has ended"
    return (
        f"a process that loads data was killed {how}: where the memory was full (/dev/shm too), "
        f"take a lower datamodule.num_workers; {AGAIN}"
    )


def _failed_to_receive(error: BaseException) -> bool:
    """Whether a batch was announced, but its process was no more when it was to be handed over."""
    frames = [frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__)]
    return isinstance(error, OSError | EOFError) and all(
        any(Path(name).match(pattern) for name in frames)
        for pattern in ("torch/utils/data/dataloader.py", "multiprocessing/queues.py")
    )


PEERS = Peers()
"""Of this process."""
