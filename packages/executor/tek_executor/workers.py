"""The worker threads: they apply effects, and do nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from tek_executor.attempt import Flight
from tek_kernel import Broker, Result, StorageFailed

MOST_THREADS = 64
"""How many threads races may raise the pool to; what races beyond them waits like any other request."""


class Workers:
    """Threads that apply admitted requests in the order they come.

    There are ``count`` of them, and one more for each request in a race that finds none free, for a race that waits
    for its own loser would never be won. ``done`` is called on a worker's thread with each result, ``failed`` if
    storage gave up.
    """

    def __init__(
        self,
        count: int,
        broker: Broker,
        done: Callable[[Flight, Result], None],
        failed: Callable[[StorageFailed], None],
    ) -> None:
        self._broker = broker
        self._done = done
        self._failed = failed
        self._count = count
        self._jobs: SimpleQueue[Flight | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._free = 0
        self._waiting = 0

    def submit(self, flight: Flight) -> None:
        """Apply a request as soon as a thread is free. Threads start as they are needed. Called by one thread."""
        with self._lock:
            self._waiting += 1
            lacking = self._waiting - self._free
        # They take what has waited longest first, so a race needs one for each that waits before it.
        most = MOST_THREADS if flight.racing else self._count
        for _ in range(min(lacking, most - len(self._threads))):
            self._start_thread()
        self._jobs.put(flight)

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._run, name=f"tek-worker-{len(self._threads) + 1}", daemon=True)
        self._threads.append(thread)
        with self._lock:
            self._free += 1
        thread.start()

    def close(self) -> None:
        """Let the threads finish what they have, and end them."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (flight := self._jobs.get()) is not None:
            with self._lock:
                self._free -= 1
                self._waiting -= 1
            try:
                result = self._broker.apply(flight.admitted, flight.cancel) if flight.take() else None
            except StorageFailed as failure:
                self._failed(failure)
                return
            with self._lock:
                self._free += 1
            if result is not None:
                self._done(flight, result)
