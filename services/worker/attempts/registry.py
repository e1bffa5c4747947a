"""What is under way in a child: claims, attempts that are not settled, and how many slots they take."""

import threading
from collections.abc import Callable, Sequence

from services.worker.attempts import measures
from services.worker.attempts.running import RunningAttempt
from services.worker.consuming.inbox import Delivery


class AttemptRegistry:
    """Holds the attempts that are claimed and not settled; may be called from any thread.

    A job has one attempt here. Only where that has lost its job, and the next one was claimed by the same
    child, are there two: the slot of the first, which is overtaken, may still run it.
    """

    def __init__(self) -> None:
        self._attempts: dict[str, RunningAttempt] = {}
        #: Returns a job's latest attempt here, or None; the dict's own method, as each delivery needs it.
        self.get: Callable[[str], RunningAttempt | None] = self._attempts.get
        #: By token.
        self._overtaken: dict[int, RunningAttempt] = {}
        self._busy = 0
        #: Deliveries of the claim under way: some of them may become attempts.
        self._claiming = 0
        self._is_draining = False
        self._lock = threading.Lock()

    def __contains__(self, job_id: object) -> bool:
        """Return whether a job has an attempt here."""
        return job_id in self._attempts

    def by_job(self) -> dict[str, RunningAttempt]:
        """Return a copy of the latest attempts by job id, without those that are overtaken."""
        return dict(self._attempts)

    def unsettled(self) -> list[RunningAttempt]:
        """Return all attempts whose outcome the store does not know, with those that are overtaken."""
        return [*self._attempts.values(), *self._overtaken.values()]

    def add(self, attempt: RunningAttempt) -> None:
        """Add an attempt that has been claimed."""
        overtaken = self._attempts.get(attempt.id)
        if overtaken is not None:
            self._overtaken[overtaken.token] = overtaken
            self.lose(overtaken)
        self._attempts[attempt.id] = attempt

    def remove(self, attempts: Sequence[RunningAttempt]) -> None:
        """Remove attempts that are settled."""
        for attempt in attempts:
            self._overtaken.pop(attempt.token, None)
            if self._attempts.get(attempt.id) is attempt:
                del self._attempts[attempt.id]

    def lose(self, attempt: RunningAttempt) -> None:
        """Stop an attempt because another holds its job."""
        if attempt.lose():
            measures.lost(attempt)

    def reserve(self, capacity: int, take: Callable[[int], list[Delivery]]) -> list[Delivery]:
        """Return deliveries to claim, and count them as busy: the end of the process waits for them.

        Args:
            capacity: How many attempts may be claimed in all.
            take: Gives deliveries, at most as many as it is asked for.
        """
        with self._lock:
            free = 0 if self._is_draining else capacity - self._busy
            deliveries = take(free) if free > 0 else []
            self._busy += len(deliveries)
            self._claiming = len(deliveries)
        return deliveries

    def end_claim(self, unused: int) -> None:
        """End the claim under way, of which so many deliveries became no attempt in a slot."""
        self._claiming = 0
        self.free(unused)

    def free(self, count: int) -> None:
        """Count so many as busy no more."""
        with self._lock:
            self._busy -= count

    def drain(self) -> None:
        """Reserve nothing from now on; what runs goes on, and `busy` has all of it."""
        with self._lock:
            self._is_draining = True

    @property
    def busy(self) -> int:
        """How many attempts are claimed, or being claimed, and their task has not ended."""
        return self._busy

    @property
    def undecided_count(self) -> int:
        """How many attempts, or claims under way, have an open outcome; an abandoned one may still run."""
        return self._claiming + sum(not each.is_ended for each in self.unsettled())

    @property
    def unsettled_count(self) -> int:
        """How many attempts, or claims under way, have an outcome that the store does not know."""
        return self._claiming + len(self._attempts) + len(self._overtaken)
