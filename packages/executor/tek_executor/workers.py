"""The worker threads: they apply effects, and do nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from tek_executor.attempt import Flight
from tek_kernel import Broker, Result, StorageFailed


class Workers:
    """A fixed number of threads that apply admitted requests in the order they come.

    ``done`` is called on a worker's thread with each result, ``failed`` if storage gave up.
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

    def submit(self, flight: Flight) -> None:
        """Apply a request as soon as a thread is free. Threads start with the first request."""
        if not self._threads:
            self._threads = [
                threading.Thread(target=self._run, name=f"tek-worker-{number + 1}", daemon=True)
                for number in range(self._count)
            ]
            for thread in self._threads:
                thread.start()
        self._jobs.put(flight)

    def close(self) -> None:
        """Let the threads finish what they have, and end them."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (flight := self._jobs.get()) is not None:
            try:
                result = self._broker.apply(flight.admitted, flight.cancel)
            except StorageFailed as failure:
                self._failed(failure)
                return
            self._done(flight, result)
