"""The pipeline: a request's way from its agent to its decision, its effect, its record, and back.

Intents of side effects are durable before they are dispatched; outcomes are delivered in the order of their lines in
the ledger, each once it is durable, so a replay that follows the lines sees what the agents saw.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from tek_abi import Asked, Decision, Path
from tek_executor.attempt import Attempt, Flight, Parked
from tek_kernel import Admitted, Broker, Busy, Ledger, Refused, Result, Scopes, Settled, left_in_doubt


class Pipeline:
    """Carries requests for the scheduler, on its thread.

    ``submit`` hands an admitted request to the workers, ``deliver`` gets each recorded outcome in order, ``halt`` is
    told once when a shared ceiling has refused a request.
    """

    def __init__(
        self,
        scopes: Scopes,
        broker: Broker,
        ledger: Ledger,
        submit: Callable[[Flight], None],
        deliver: Callable[[Attempt, Path, Settled], None],
        halt: Callable[[str], None],
    ) -> None:
        self._scopes, self._broker, self._ledger = scopes, broker, ledger
        self._submit, self._deliver, self._halt = submit, deliver, halt
        self._parked: deque[Parked] = deque()
        self._to_dispatch: deque[tuple[int, Flight]] = deque()
        self._to_deliver: deque[tuple[int, Attempt, Path, Settled]] = deque()

    def request(
        self, attempt: Attempt, asked: Asked, share: int, known: Callable[[Admitted], Result] | None = None
    ) -> None:
        """Bring a request to its decision, or park it until others release the budget that it needs.

        ``known`` ends it without applying it.
        """
        self._request(Parked(attempt, asked.path, asked.bound, share, asked.racing, known))

    def refuse(self, attempt: Attempt, path: Path, refused: Refused) -> None:
        """Record the outcome of a denial that a run was cut off after."""
        self._refuse(attempt, path, refused)

    def resubmit(self, flight: Flight) -> None:
        """Apply a request again whose intent is on stable storage."""
        flight.attempt.flights[flight.path] = flight
        if flight.admitted.effect.inline:
            flight.take()
            self.settle(flight, self._broker.apply(flight.admitted, flight.cancel))
        else:
            self._submit(flight)

    def conclude(self, flight: Flight, result: Result) -> None:
        """End a request whose intent is on record with what is known of it."""
        flight.attempt.flights[flight.path] = flight
        flight.take()
        self.settle(flight, result)

    def _request(self, parked: Parked) -> None:
        attempt, path = parked.attempt, parked.path
        work = attempt.work
        if work.scope is None:
            work.scope = self._scopes.task(work.queue, work.task, work.agent)
        try:
            seq, decided = self._broker.admit(work.scope, attempt.position(path), parked.bound, parked.share)
        except Busy:
            self._parked.append(parked)
            return
        if isinstance(decided, Refused):
            self._refuse(attempt, path, decided)
            return
        flight = attempt.flights[path] = Flight(attempt, path, decided, parked.racing)
        if parked.known is not None:
            flight.take()
            self.settle(flight, parked.known(decided))
        elif decided.effect.inline:
            flight.take()  # it ends here, before anybody can cancel it
            self.settle(flight, self._broker.apply(decided, flight.cancel))
        elif flight.is_read:
            self._submit(flight)
        else:
            self._ledger.sync(seq)
            self._to_dispatch.append((seq, flight))

    def _refuse(self, attempt: Attempt, path: Path, refused: Refused) -> None:
        settled = self._broker.refuse(refused)
        attempt.work.record.effect(refused.intent.position, refused.intent.envelope, settled.entry.outcome, None)
        if refused.denial.code == "ceiling" and refused.denial.exhausted is not None:
            reason = f"the {refused.denial.exhausted.account} has spent its {refused.denial.exhausted.dimension}"
            self._ledger.append(Decision(attempt.position(path), "ceiling", reason))
            self._halt(reason)
        attempt.refused.add(path)
        self._to_deliver.append((-1, attempt, path, settled))

    def settle(self, flight: Flight, result: Result) -> None:
        """Record an outcome, queue it for its agent, and see who can go on with what it released."""
        attempt, intent = flight.attempt, flight.admitted.intent
        settled = self._broker.settle(flight.admitted, result)
        attempt.work.record.effect(intent.position, intent.envelope, settled.entry.outcome, settled.entry.value_digest)
        attempt.work.in_doubt |= left_in_doubt(flight.admitted, settled.entry.outcome)
        durable = -1 if flight.is_read else settled.seq
        if durable >= 0:
            self._ledger.sync(durable)
        self._to_deliver.append((durable, attempt, flight.path, settled))
        waiting, self._parked = self._parked, deque()
        while waiting:
            self._request(waiting.popleft())

    def flush(self) -> bool:
        """Dispatch and deliver whatever its durability no longer holds back. Returns whether there was any."""
        moved = False
        while self._to_dispatch and self._to_dispatch[0][0] <= self._ledger.synced:
            moved = True
            self._submit(self._to_dispatch.popleft()[1])
        while self._to_deliver and self._to_deliver[0][0] <= self._ledger.synced:
            moved = True
            _, attempt, path, settled = self._to_deliver.popleft()
            attempt.flights.pop(path, None)
            attempt.refused.discard(path)
            self._deliver(attempt, path, settled)
        return moved

    def forget(self, attempt: Attempt, path: Path | None = None) -> None:
        """Drop parked requests of an attempt: one, or all."""
        self._parked = deque(p for p in self._parked if p.attempt is not attempt or path not in (None, p.path))
