"""SIGTERM and Ctrl-C end a command from anywhere within seconds, and a training between two steps.

A handler of Python runs in the main thread and between two lines of Python only: not while that
thread waits for another process or computes in a library. So a thread looks on. It hands signals on
to the processes that this one has started, and ends what does not end by itself.
"""

import atexit
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from bacl.processes.peers import AGAIN, PEERS

SIGNALS = (signal.SIGTERM, signal.SIGINT)
TOGETHER = 1.0
"""Seconds in which several signals are one request: terminals and clusters tell every process, and
launchers hand on what they are told."""
GRACE = 10.0
"""Seconds that a process has to end, if no training step of its own takes longer."""
STEPS, LONGEST = 5, 60.0
"""How many times the last training step's seconds, and how many seconds at most, a process has that
finishes a step first: one that waits for a dead disk or another machine never would."""
TICK = 0.2
"""Seconds between two looks at other processes."""


class Interrupted(SystemExit):
    """The command was told to end; its status is 128 + the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


class Interruption:
    """What this process was told, and when it does what it was told."""

    def __init__(self) -> None:
        self.listens = False
        """Whether signals come here: a library leaves those of its user's program alone."""
        self.asked: int | None = None
        """The signal that told this process, or one that it trains with, to end."""
        self.place = "before its work began"
        """What the command is about, for the line that says where it ended."""
        self.postponed = False
        """Whether a signal is noted until `take_place`, so that a training step is finished."""
        self._raised = False
        self._since: float | None = None
        """When it was told, or since when it has had to end."""
        self._noticed: float | None = None
        """When the thread that looks on saw the first signal."""
        self._took = False
        """Whether the handler was called."""
        self._handed_on = threading.Event()
        """Set once the peers were told, too."""
        self._step_began = 0.0
        self._step_seconds = 0.0
        self._left_to_caller = False

    def listen(self) -> None:
        """Listen until the process ends; only commands do, from their first line on."""
        reader, writer = socket.socketpair()
        writer.setblocking(False)
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # as of Ctrl-C, in the background
                signal.signal(number, self._take)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        self._writer = writer  # stays open
        if hasattr(os, "register_at_fork"):  # Windows forks nothing
            os.register_at_fork(after_in_child=_leave_alone)
        threading.Thread(target=self._look_on, args=(reader,), daemon=True).start()
        atexit.register(self._tell)
        self.listens = True

    def postpone(self) -> None:
        """From here on a signal ends this process in `take_place`, or if no step ends in time."""
        self.postponed = self.listens
        self._step_began, self._step_seconds = time.monotonic(), 0.0

    def end_step(self) -> None:
        """A step has ended; what follows, be it to save it, has time of its own."""
        if not self.postponed:
            return
        now = time.monotonic()
        self._step_seconds, self._step_began = now - self._step_began, now
        self._since = now if self._since else None

    def take_place(self) -> None:
        """End now, if this process was told to in the meantime.

        Raises:
            Interrupted: it was.
        """
        postponed, self.postponed = self.postponed, False
        if postponed and self.asked is not None:
            raise self.end(self.asked)

    def end(self, number: int) -> Interrupted:
        """What to raise, to end because of a signal, and to say so."""
        self.asked = self.asked or number
        self._raised, self.postponed, self._since = True, False, time.monotonic()
        return Interrupted(self.asked)

    @contextmanager
    def left_to_caller(self) -> Iterator[None]:
        """Let the caller's own handlers deal with signals, as a launcher of many commands does."""
        self._left_to_caller = True
        try:
            yield
        finally:
            self._left_to_caller = False

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.asked = self.asked or number
        self._took = True
        if not self.postponed and not self._raised:
            raise self.end(number)

    def _look_on(self, reader: socket.socket) -> None:
        while True:
            ready = select.select([reader], [], [], TICK)[0]
            for number in reader.recv(64) if ready else b"":
                if number in SIGNALS and not self._left_to_caller:
                    self._notice(number)
            if self._since and time.monotonic() - self._since > self._patience:
                self._end_at_once(f"{self.place}, where it did not end by itself")
            if loss := PEERS.loss(GRACE if self.asked else 0):
                self.leave(loss, PEERS.status)

    @property
    def _patience(self) -> float:
        step = min(STEPS * self._step_seconds, LONGEST) if self.postponed else 0.0
        return max(GRACE, step)

    def _notice(self, number: int) -> None:
        now = time.monotonic()
        if self._noticed is None:
            self._noticed, self.asked = now, self.asked or number
            self._since = self._since or now
            PEERS.hand_on(number)  # here alone: told again later, they would end at once
            self._handed_on.set()
        elif now - self._noticed > TOGETHER:
            self._end_at_once("at once, as it was told twice")

    def _end_at_once(self, where: str) -> NoReturn:
        number = self.asked or signal.SIGTERM
        lost = ", what follows its last checkpoint unsaved" if self.postponed else ""
        self.leave(f"ended by {signal.Signals(number).name} {where}{lost}; {AGAIN}", 128 + number)

    def leave(self, line: str, status: int) -> NoReturn:
        """Say so, and end this process and those it has started, whatever they do."""
        PEERS.kill()
        _flush_in_time()
        if PEERS.speaks:
            _say(line)
        os._exit(status)

    def _tell(self) -> None:
        if self._took:
            self._handed_on.wait(TOGETHER)  # the thread ends with this process
        if self._raised and PEERS.speaks:
            _say(f"ended by {signal.Signals(self.asked or 0).name} {self.place}; {AGAIN}")


def _say(line: str) -> None:
    os.write(2, f"{line}\n".encode())


def _flush_in_time() -> None:
    """Write what was printed so far, unless whoever reads it has stopped reading."""
    flusher = threading.Thread(target=_flush, daemon=True)
    with suppress(RuntimeError):  # Python ends already, and has flushed
        flusher.start()
        flusher.join(TOGETHER)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed at the other end or here
            stream.flush()


def _leave_alone() -> None:
    """A forked process hears no signals for this one, which ends it; Ctrl-C tells both.

    One that loads data leaves SIGTERM to this one, too (`bacl.data.loading`).
    """
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


INTERRUPTION = Interruption()
"""Of this process."""
