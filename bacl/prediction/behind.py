"""Work that threads do while the network goes on."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self


class Behind:
    """Threads that do what they are given, a little behind; who gives more than that waits.

    What a thread raises is raised where more is given, or at the end of the block.

    Args:
        workers: threads; one does everything in order.
        most: pieces of work that may be waiting or in progress.
    """

    def __init__(self, workers: int, most: int) -> None:
        self._pool = ThreadPoolExecutor(workers)
        self._most = most
        self._pending: deque[Future[Any]] = deque()

    def do(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Have this done; waits for the oldest where too much is waiting."""
        while len(self._pending) >= self._most:
            self._pending.popleft().result()
        future = self._pool.submit(work, *arguments)
        self._pending.append(future)
        return future

    def finish(self) -> None:
        """Wait for all of it."""
        while self._pending:
            self._pending.popleft().result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)
