"""One attempt of a job in a slot: its message for Dramatiq, and the only way to interrupt it safely."""

import threading
import time
from typing import TYPE_CHECKING, Any

from services.worker.dramatiq_bridge.interrupts import Raised
from services.worker.dramatiq_bridge.message import SlotMessage
from taskyard.context import CurrentJob
from taskyard.errors import JobInterrupt, JobLost, WorkerStopping
from taskyard.job import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.worker.consuming.inbox import Delivery
    from taskyard.message import Message


class RunningAttempt(SlotMessage):
    """A claimed job on its way through a slot; Dramatiq sees it as the message.

    Args:
        message: The job's message.
        delivery: Where the message came from, to be acknowledged.
        token: The fencing token of the claim.
        crashes: Attempts before this one that ended with a lost worker.
        first_failed_at_ms: When an attempt first failed, in milliseconds since 1970; None if none has.
        timeout_s: Time limit in seconds.
        max_retries: Retries that the job has in all.
    """

    def __init__(
        self,
        message: "Message",
        delivery: "Delivery",
        *,
        token: int,
        crashes: int,
        first_failed_at_ms: int | None,
        timeout_s: float,
        max_retries: int,
    ) -> None:
        super().__init__(message)  # type: ignore[arg-type]  # has the same fields
        self.queue_name = delivery.queue
        self.options = {}
        self.message = message
        self.id = message.message_id
        self.task = message.task
        self.actor_name = message.task  # by which Dramatiq looks for what it runs
        self.delivery = delivery
        self.token = token
        self.crashes = crashes
        self.first_failed_at_ms = first_failed_at_ms
        self.timeout_s = timeout_s
        self.max_retries = max_retries
        self.number = message.options.attempt
        self.result = ""
        self.error: BaseException | None = None
        #: Where `error` was raised, without what it says.
        self.failed_at = ""
        self.last_progress: Progress | None = None
        self.claimed = time.monotonic()
        self.started: float | None = None
        self.ran_s = 0.0
        self.cancel_asked: float | None = None
        #: Another holds its job: whatever becomes of it counts for nothing.
        self.is_lost = False
        #: How long it was ready before it was claimed, in milliseconds.
        self.waited_ms = 0
        #: Of its run, and when that ended in nanoseconds since 1970; only where traces are recorded.
        self.span: Any = None
        self.ran_until_ns: int | None = None
        self._is_ended = False
        self._interrupt: type[JobInterrupt] | None = None
        self._raised: Raised | None = None
        self._cancel: Callable[[], object] | None = None
        self._thread_id: int | None = None
        self._lock = threading.Lock()

    def current_job(self, report: "Callable[[Progress], None]") -> CurrentJob:
        """Return the view of the job that its task gets."""
        return CurrentJob(
            self.id,
            self.task,
            self.number,
            report,
            traceparent=self.message.options.traceparent,
        )

    def enter(self, cancel: "Callable[[], object] | None" = None) -> None:
        """Allow interrupts in this thread from now on; raise one that came before.

        Args:
            cancel: How to interrupt a task that does not run in this thread, from any thread and at once.
        """
        with self._lock:
            self.started = time.monotonic()
            # What was handed back must not run: its outcome is decided.
            interrupt = WorkerStopping if self._is_ended else self._interrupt
            if interrupt is None:
                self._cancel = cancel
                self._thread_id = threading.get_ident()
        if interrupt is not None:
            raise interrupt

    def leave(self) -> None:
        """Allow no more interrupts in this thread, and take back one that has not arrived yet.

        An interrupt may land in the middle of this very method: the task has its result by then, so it is
        dropped and the method runs once more.
        """
        while True:
            try:
                with self._lock:
                    if self._thread_id is not None:
                        self.ran_s = time.monotonic() - (self.started or 0.0)
                        self._cancel = self._thread_id = None
                        if self._raised is not None:
                            self._raised.take_back()
                return
            except JobInterrupt:
                continue

    @property
    def interrupted(self) -> type[JobInterrupt] | None:
        """The reason why it was interrupted, if it was."""
        return self._interrupt

    def interrupt(self, reason: type[JobInterrupt]) -> bool:
        """Raise `reason` in the task at its next bytecode, once; before it has started, at its start.

        Returns whether this was the first interrupt: later ones do nothing.
        """
        with self._lock:
            if self._interrupt is not None:
                return False
            self._interrupt = reason
            if self._cancel is not None:
                self._cancel()
            elif self._thread_id is not None:
                self._raised = Raised(reason, self._thread_id)
            return True

    def ask_to_stop(self, reason: type[JobInterrupt]) -> bool:
        """Interrupt it, and note since when: one that does not stop is given up."""
        self.cancel_asked = self.cancel_asked or time.monotonic()
        return self.interrupt(reason)

    def lose(self) -> bool:
        """Stop it because another holds its job; True if nothing had interrupted it before."""
        self.is_lost = True
        return self.ask_to_stop(JobLost)

    def raise_again(self) -> None:
        """Raise the interrupt once more if it was lost on its way, and the task still runs."""
        if self._raised is None:
            return
        with self._lock:
            if self._interrupt and self._thread_id is not None and self._raised.is_lost:
                self._raised = Raised(self._interrupt, self._thread_id)

    @property
    def is_ended(self) -> bool:
        """Whether the outcome is decided, though the task may still run."""
        return self._is_ended

    def end_unstarted(self) -> bool:
        """Do as `end` does, but only if no slot has taken it yet."""
        with self._lock:
            if self.started is not None or self._is_ended:
                return False
            self._is_ended = True
            return True

    def end(self) -> bool:
        """Return whether nobody has decided the outcome yet: the caller may, all others may not."""
        with self._lock:
            is_first, self._is_ended = not self._is_ended, True
            if self.started is not None and self._thread_id is not None:  # given up while it runs
                self.ran_s = time.monotonic() - self.started
            return is_first

    def waits_for_slot(self, limit_s: float) -> bool:
        """Whether no slot has taken it for more than `limit_s` seconds."""
        return self.started is None and time.monotonic() - self.claimed > limit_s

    def is_over(self, limit_s: float) -> bool:
        """Whether the task runs, and has for more than `limit_s` seconds."""
        return (
            self.started is not None
            and self._thread_id is not None
            and time.monotonic() - self.started > limit_s
        )
