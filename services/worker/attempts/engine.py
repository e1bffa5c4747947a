"""The heart of a worker child: asks for what may begin and tells what has ended, a batch at a time.

One thread does both, so that while one batch is at the store the next one fills: no batch waits to become
larger, and none has to be of size one under load.
"""

import logging
import threading
from collections.abc import Mapping
from typing import Any

from services.worker.attempts.admission import Admission, Asking
from services.worker.attempts.aside import Aside
from services.worker.attempts.burial import Burial
from services.worker.attempts.running import RunningAttempt
from services.worker.attempts.settler import Entries, Settler
from services.worker.attempts.starter import Starter
from services.worker.consuming.inbox import Delivery
from services.worker.consuming.source import Source
from services.worker.dramatiq_bridge.slots import Slots
from taskyard.config import Settings
from taskyard.errors import StoreFault, StoreUnavailable, Unavailable, Unstorable
from taskyard.store import JobStore
from taskyard.store.attempts import Settled, Verdict
from taskyard.task import Task

logger = logging.getLogger(__name__)

#: How long the first slot has a batch for itself, before others are woken for the rest. Seconds.
SPREAD_AFTER_S = 0.0002
#: Work that is claimed ahead of a free slot, in seconds, and its bound: a slot is free for it by the time
#: that the store has answered, and the round trips of tiny jobs become a third as many.
CLAIM_AHEAD_S = 0.001
CLAIM_AHEAD_PER_SLOT = 3
#: Longest pause while the store is away, in seconds, and as a part of a lease: once the store is back, the
#: leases hold for a lease's time, and whoever runs jobs has to be heard before.
MAX_PAUSE_S = 2.0
SOON_PART = 0.25


class Engine:
    """Runs between the consumer, the store and the slots: counts what is busy, and exchanges with the store.

    Args:
        store: Where jobs are claimed and settled.
        consumer: Where deliveries come from and are acknowledged.
        burial: What writes dead letters.
        tasks: The tasks that this worker knows, by name.
        settings: Limits and defaults.
        owner: Id of the lease that holds the attempts.
        slots: What runs them.
        settler: Has the attempts that are under way, and the outcomes of those that have ended.
    """

    def __init__(
        self,
        *,
        store: JobStore,
        consumer: Source,
        burial: Burial,
        tasks: Mapping[str, Task[..., Any]],
        settings: Settings,
        owner: str,
        slots: Slots,
        settler: Settler,
    ) -> None:
        self._store = store
        self._consumer = consumer
        self._settings = settings
        self._owner = owner
        self._slots = slots
        self._settler = settler
        self._admission = Admission(store, consumer, burial, tasks, settings, owner)
        self._starter = Starter(
            consumer=consumer,
            admission=self._admission,
            settler=settler,
            slots=slots,
            tasks=tasks,
            unknown_task_ttl_s=settings.unknown_task_ttl,
        )
        #: Outcomes and deliveries of a batch that failed, among which one is at fault: each comes alone.
        self._suspects = 0
        self._aside = Aside()
        self._busy = 0
        #: Deliveries of the claim under way: some of them may become attempts.
        self._claiming = 0
        #: Number of the latest claim call, and of the latest that is over: what it granted runs, or will
        #: never be. Heartbeats tell it, and the store takes back what was granted in vain.
        self._call = 0
        self.over = 0
        self._busy_lock = threading.Lock()
        self._wake = threading.Event()
        self._is_draining = False
        self._stopping = threading.Event()
        self._pause_s = 0.0
        self._max_pause_s = min(MAX_PAUSE_S, settings.lease_s * SOON_PART)
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; what is not settled is left to the leases. Safe to call twice."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(self._settings.store_timeout_s + 1)

    def wake(self) -> None:
        """Look for work: a delivery has arrived, or an attempt has ended."""
        if not self._wake.is_set():
            self._wake.set()

    def drain(self) -> None:
        """Claim no more jobs; what runs goes on, and `busy` has all of it."""
        with self._busy_lock:
            self._is_draining = True

    @property
    def busy(self) -> int:
        """Claimed attempts whose task has not ended."""
        return self._busy

    @property
    def undecided(self) -> int:
        """Attempts, or claims under way, whose outcome is open; one that was abandoned may still run."""
        return self._claiming + sum(not each.is_ended for each in self._settler.unsettled())

    @property
    def unsettled(self) -> int:
        """Attempts whose outcome the store does not know yet."""
        return self._claiming + len(self._settler.unsettled())

    def finished(self, attempt: RunningAttempt) -> None:
        """Take an attempt whose task has ended; called by its slot."""
        try:
            self._settler.end(attempt, attempt.error)
        except Exception:
            # Raised in a slot, it would end its thread for good.
            logger.exception("attempt does not end", extra={"job_id": attempt.id})
        finally:
            self._free(1)
            self.wake()

    def run_once(self) -> bool:
        """Settle what has ended and claim for the slots that are free; return whether there was anything.

        Raises:
            StoreUnavailable: If the store does not answer; nothing is lost, and it may be called again.
        """
        is_parted = self._suspects > 0 or self._aside.is_due
        entries = self._take_entries(is_parted=is_parted)
        deliveries = self._reserve(is_parted=is_parted, is_alone=not entries)
        self._suspects = max(0, self._suspects - len(entries) - len(deliveries))
        started = 0
        self._call += bool(deliveries)
        try:
            asking = self._admission.asking(deliveries, self._settler.running)
            if entries or asking:
                started = self._exchange(entries, asking)
        finally:
            self.over = self._call
            self._claiming = 0
            self._free(len(deliveries) - started)
        return bool(entries or deliveries)

    def waiting_by_queue(self) -> dict[str, int]:
        """Return how many deliveries are here that are no attempts yet, by queue."""
        return self._aside.by_queue() + self._consumer.inbox.by_queue()

    def problems(self) -> list[str]:
        """Return what the store fails at, and for how long; empty if nothing."""
        return self._aside.problems()

    def aside(self) -> list[Delivery]:
        """Return the deliveries that wait because the store fails at them."""
        return self._aside.held()

    def _take_entries(self, *, is_parted: bool) -> Entries:
        if not is_parted:
            return self._settler.take()
        due = self._aside.take_end()
        return self._settler.take(1) if due is None else [due]

    def _reserve(self, *, is_parted: bool, is_alone: bool) -> list[Delivery]:
        """Take deliveries, and count them as busy from now on: who stops the worker waits for them."""
        with self._busy_lock:
            free = 0 if self._is_draining else self._capacity() - self._busy
            if free <= 0 or (is_parted and not is_alone):
                deliveries = []
            elif not is_parted:
                deliveries = self._consumer.inbox.take(free)
            else:
                due = self._aside.take_claim()
                deliveries = self._consumer.inbox.take(1) if due is None else [due]
            self._busy += len(deliveries)
            self._claiming = len(deliveries)
        return deliveries

    def _free(self, count: int) -> None:
        with self._busy_lock:
            self._busy -= count

    def _capacity(self) -> int:
        """Return how many attempts may be claimed: one a slot, and of tiny jobs a millisecond's more."""
        slots = self._settings.worker_threads
        return slots + min(
            slots * CLAIM_AHEAD_PER_SLOT, int(slots * CLAIM_AHEAD_S / self._settler.service_s)
        )

    def _exchange(self, entries: Entries, asking: Asking) -> int:
        """Tell the store what has ended and ask for what may begin; return how many attempts began."""
        outcomes = [outcome for outcome, _ in entries]
        try:
            claims = self._admission.claims(asking)
            told, verdicts = self._store.exchange(
                outcomes, self._owner, self._owner, claims, call=self._call
            )
            self._admission.adopt_unknown(list(asking.values()), claims, verdicts, call=self._call)
            self._admission.adopt_ended(entries, told)
        except Unavailable:
            self._put_back(entries, asking)
            raise
        except Exception as error:  # noqa: BLE001 - logged, here or where it is put aside
            if len(entries) + len(asking) > 1:
                logger.error("the store fails at one of a batch; each comes alone now: %s", error)
                self._suspects = len(entries) + len(asking)
                self._put_back(entries, asking)
            else:
                self._put_aside(entries, asking, error)
            return 0
        if "fault" in told or any(each.kind == "fault" for each in verdicts):
            entries, told, asking, verdicts = self._without_faults(entries, told, asking, verdicts)
        if self._aside:
            self._aside.went_well(claims=list(asking), ends=[outcome.id for outcome, _ in entries])
        started = self._starter.start(asking, verdicts) if verdicts else 0
        if entries:
            self._settler.settled(entries, told)
        return started

    def _without_faults(
        self, entries: Entries, told: list[Settled], asking: Asking, verdicts: list[Verdict]
    ) -> tuple[Entries, list[Settled], Asking, list[Verdict]]:
        """Put aside those whose records are damaged, and return the others with what was said of them."""
        error = StoreFault("its record is damaged")
        for entry, answer in zip(entries, told, strict=True):
            if answer == "fault":
                self._aside.put_end(entry, error)
        for (job_id, (delivery, _)), verdict in zip(asking.items(), verdicts, strict=True):
            if verdict.kind == "fault" and delivery.channel is None:
                self._consumer.hand_back([delivery])  # a suspect rests in the store
            elif verdict.kind == "fault":
                self._aside.put_claim(job_id, delivery, error)
        well = [at for at, answer in enumerate(told) if answer != "fault"]
        kinds = zip(asking, verdicts, strict=True)
        granted = {job_id: asking[job_id] for job_id, each in kinds if each.kind != "fault"}
        return (
            [entries[at] for at in well],
            [told[at] for at in well],
            granted,
            [each for each in verdicts if each.kind != "fault"],
        )

    def _put_aside(self, entries: Entries, asking: Asking, error: Exception) -> None:
        """Deal with the one outcome or delivery that the store fails at, so that the others go on.

        Only what has no form in the store is the message's own fault, and a dead letter. All else may be
        that of a record, a script or a server: it rests, and is tried again.
        """
        for entry in entries:
            if isinstance(error, Unstorable):
                self._settler.retell(entry, error)
            else:
                self._aside.put_end(entry, error)
        for job_id, (delivery, _) in asking.items():
            if isinstance(error, Unstorable):
                self._admission.bury(delivery, "invalid", str(error))
            else:
                self._aside.put_claim(job_id, delivery, error)

    def _put_back(self, entries: Entries, asking: Asking) -> None:
        self._settler.put_back(entries)
        for delivery, _ in asking.values():
            self._consumer.inbox.put(delivery)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._work()

    def _work(self) -> None:
        try:
            self._await_work()
            while not self._stopping.is_set() and self.run_once():
                self._pause_s = 0.0
        except StoreUnavailable as error:
            self._pause_s = min(self._max_pause_s, max(0.1, self._pause_s * 2))
            logger.warning("jobs wait for the store: %s", error)
            self._stopping.wait(self._pause_s)
            self._wake.set()
        except Exception:
            logger.exception("engine failed")
            self._stopping.wait(1.0)
            self._wake.set()

    def _await_work(self) -> None:
        if self._slots.has_waiting:
            self._wake.wait(SPREAD_AFTER_S)
            self._slots.spread()
        self._wake.wait(self._aside.next_s())
        self._wake.clear()
