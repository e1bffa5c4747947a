"""A job that was handed over, as Python sees it: its state, its result, its cancellation."""

import logging
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from taskyard.arguments.secrets import redacted
from taskyard.errors import JobFailed, JobNotFound, TooLate
from taskyard.job import TERMINAL, Job, State, document

if TYPE_CHECKING:
    from taskyard.client import Client

logger = logging.getLogger(__name__)

#: Wait after which what keeps the job from running is looked for. Seconds.
WARN_AFTER_S = 10.0
#: Longest single wait. Seconds.
MAX_WAIT_S = 3600.0
#: Shortest time limit whose `TimeoutError` gives the reason: that costs a call to the store. Seconds.
WHY_FROM_S = 1.0


class JobHandle:
    """A job that was handed over: ask for its state, wait for its result, cancel it.

    Args:
        job_id: The job's id.
        client: Where to ask.
        function: What its task runs, if that is known: its return hint says what results are.
    """

    def __init__(
        self, job_id: str, client: "Client", function: Callable[..., Any] | None = None
    ) -> None:
        self.id = job_id
        self._client = client
        self._has_warned = False
        self._function = function

    def __repr__(self) -> str:
        """Return a text with the id."""
        return f"<job {self.id}>"

    @property
    def state(self) -> str:
        """The state right now, one of the words of `taskyard.job.State`."""
        return self._job().state.value

    def document(self) -> dict[str, Any]:
        """Return the job document, as REST shows it."""
        job = self._job()
        tasks = {task["name"]: task["signature"] for task in self._client.store.tasks()}
        found = tasks.get(job.message.task)
        args, kwargs = redacted(found, job.message.args, job.message.kwargs)
        return {**document(job), "args": args, "kwargs": kwargs}

    def get(self, timeout: float | None = None) -> Any:
        """Return the result, waiting for it at most `timeout` seconds (None: for ever).

        What keeps the job from running, and does not pass by itself, is logged once as a warning after
        `WARN_AFTER_S`.

        Where the handle comes from the task, it is what the task's return hint says; else as JSON has it.

        Raises:
            JobFailed: If it failed, was cancelled or expired.
            TimeoutError: If it has not ended after `timeout`; it says why, if that is `WHY_FROM_S` or longer.
            JobNotFound: If its record has expired.
        """
        job = self._wait(timeout)
        if job.state is State.COMPLETED:
            return None if job.result is None else self._typed(msgspec.json.decode(job.result))
        error = None if job.error is None else msgspec.to_builtins(job.error)
        raise JobFailed(self.id, job.state.value, error)

    def _typed(self, result: Any) -> Any:
        if self._function is None:
            return result
        from taskyard.arguments.results import reader

        return reader(self._function)(result)

    def cancel(self) -> bool:
        """Cancel the job; True if it will not run, False if it runs and was asked to stop.

        Raises:
            TooLate: If it has ended.
            JobNotFound: If its record has expired.
        """
        settings = self._client.settings
        (answer,) = self._client.store.cancel([self.id], settings.result_ttl * 1000)
        if answer.verdict == "unknown":
            raise JobNotFound(self.id, store_label=self._client.store_label)
        if answer.verdict == "too_late":
            raise TooLate(self.id, answer.state)
        return answer.verdict == "cancelled"

    def explain(self) -> dict[str, Any]:
        """Return why the job is not running, or where its time went, as `docs/explain.md` has it.

        Raises:
            JobNotFound: If its record has expired.
        """
        return self._client.explain(self.id)

    def _job(self) -> Job:
        (job,) = self._client.store.get([self.id])
        if job is None:
            raise JobNotFound(self.id, store_label=self._client.store_label)
        return job

    def _wait(self, timeout_s: float | None) -> Job:
        began = time.monotonic()
        until = math.inf if timeout_s is None else began + max(0.0, timeout_s)
        wait_s = min(WARN_AFTER_S, until - began)
        while True:
            job = self._client.store.wait(self.id, wait_s)
            if job is None:
                raise JobNotFound(self.id, store_label=self._client.store_label)
            if job.state in TERMINAL:
                return job
            wait_s = min(MAX_WAIT_S, until - time.monotonic())
            if timeout_s is not None and wait_s <= 0:
                raise TimeoutError(self._still(job, timeout_s))
            if not self._has_warned:
                self._warn(job)

    def _still(self, job: Job, timeout_s: float) -> str:
        text = f"job {self.id!r} is still {job.state} after {timeout_s:g} s"
        if timeout_s < WHY_FROM_S:  # the caller polls, and each reason costs a call
            return text
        why = self._client.why_not_ended(self.id)
        return f"{text}: {why.summary}" if why else text

    def _warn(self, job: Job) -> None:
        self._has_warned = True
        if job.state is State.RUNNING:
            return
        why = self._client.why_not_ended(self.id)
        if why and why.needs_action:
            facts = {"job_id": self.id, "state": job.state.value}
            logger.warning("job %s is waited for: %s", self.id, why.summary, extra=facts)
