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
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from bacl.peers import AGAIN, PEERS

SIGNALS = (signal.SIGTERM, signal.SIGINT)
TOGETHER = 1.0
"""Seconds in which several signals are one request: terminals and clusters tell every process, and
launchers hand on what they are told."""
GRACE = 10.0
"""Seconds that a process has to end, where it does not finish a training step."""
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
        """Whether signals are noted, until `take_place`, and nothing else happens."""
        self._raised = False
        self._since: float | None = None
        """When it was told, or since when it has had to end."""
        self._noticed: float | None = None
        """When the thread that looks on saw the first signal."""
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
        """Take note of signals from here on, and no more, until `take_place`."""
        self.postponed = self.listens

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
        if self.asked is None:
            self.asked = number
            PEERS.hand_on(number)  # before this process ends, if that is at once
        if not self.postponed and not self._raised:
            raise self.end(number)

    def _look_on(self, reader: socket.socket) -> None:
        while True:
            ready = select.select([reader], [], [], TICK)[0]
            for number in reader.recv(64) if ready else b"":
                if number in SIGNALS and not self._left_to_caller:
                    self._notice(number)
            if self._since and not self.postponed and time.monotonic() - self._since > GRACE:
                self._end_at_once(f"{self.place}, where it did not end by itself")
            if loss := PEERS.loss(GRACE if self.asked else 0):
                self.leave(loss, PEERS.status)

    def _notice(self, number: int) -> None:
        now = time.monotonic()
        if self._noticed is None:
            self._noticed, self.asked = now, self.asked or number
            self._since = self._since or now
            PEERS.hand_on(number)
        elif now - self._noticed > TOGETHER:
            self._end_at_once("at once, as it was told twice")

    def _end_at_once(self, where: str) -> NoReturn:
        number = self.asked or signal.SIGTERM
        self.leave(f"ended by {signal.Signals(number).name} {where}; {AGAIN}", 128 + number)

    def leave(self, line: str, status: int) -> NoReturn:
        """Say so, and end this process and those it has started, whatever they do."""
        PEERS.kill()
        if PEERS.speaks:
            _say(line)
        os._exit(status)

    def _tell(self) -> None:
        if self._raised and PEERS.speaks:
            _say(f"ended by {signal.Signals(self.asked or 0).name} {self.place}; {AGAIN}")


def _say(line: str) -> None:
    os.write(2, f"{line}\n".encode())


def _leave_alone() -> None:
    """What a process is forked for is ended by this one, which Ctrl-C tells too."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


INTERRUPTION = Interruption()
"""Of this process."""
