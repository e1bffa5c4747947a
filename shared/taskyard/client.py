"""The Python door: a process's one dispatcher, opened when it is first needed, and job handles."""

import atexit
import logging
import math
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from taskyard import context
from taskyard.arguments.secrets import redacted
from taskyard.errors import JobFailed, JobNotFound, TaskyardError, TooLate
from taskyard.job import TERMINAL, Job, State, document
from taskyard.task import Task
from taskyard.telemetry.tracing import Publishing

if TYPE_CHECKING:  # `import taskyard` stays quick: see `_get_ready`
    from taskyard.config import Settings
    from taskyard.dispatcher import Dispatcher
    from taskyard.explain.findings import Finding
    from taskyard.request import Defaults, JobRequest
    from taskyard.store import JobStore
    from taskyard.store.jobs import NewJob
    from taskyard.task_options import TaskOptions

logger = logging.getLogger(__name__)

#: After so long a wait it is looked whether anything comes of it. Seconds.
WARN_AFTER_S = 10.0
#: Longest single wait. Seconds.
MAX_WAIT_S = 3600.0
#: Shortest time limit of a wait whose end is told with the reason: the store is asked for that. Seconds.
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
            raise JobNotFound(self.id, asked=self._client.asked)
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
            raise JobNotFound(self.id, asked=self._client.asked)
        return job

    def _wait(self, timeout_s: float | None) -> Job:
        began = time.monotonic()
        until = math.inf if timeout_s is None else began + max(0.0, timeout_s)
        wait_s = min(WARN_AFTER_S, until - began)
        while True:
            job = self._client.store.wait(self.id, wait_s)
            if job is None:
                raise JobNotFound(self.id, asked=self._client.asked)
            if job.state in TERMINAL:
                return job
            wait_s = min(MAX_WAIT_S, until - time.monotonic())
            if timeout_s is not None and wait_s <= 0:
                raise TimeoutError(self._still(job, timeout_s))
            if not self._has_warned:
                self._warn(job)

    def _still(self, job: Job, timeout_s: float) -> str:
        text = f"job {self.id!r} is still {job.state} after {timeout_s:g} s"
        if timeout_s < WHY_FROM_S:  # who asks that often is not told each time
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


class Client:
    """A dispatcher with its settings, for use from any number of threads.

    Args:
        settings: Where RabbitMQ and the store are, and the defaults of jobs.
    """

    def __init__(self, settings: "Settings") -> None:
        from taskyard.runtime import whereabouts
        from taskyard.store import open_store

        self.settings = settings
        #: The state store.
        self.store: JobStore = open_store(
            settings, hint=whereabouts.remedy(settings, "result_backend")
        )
        #: Where jobs are looked for, for people.
        self.asked = whereabouts.asked(settings)
        self._has_looked_for_workers = False
        self._dispatcher: Dispatcher | None = None
        self._is_closed = False
        self._lock = threading.Lock()

    @property
    def dispatcher(self) -> "Dispatcher":
        """What hands jobs over; made when it is first asked for, as who only reads needs no RabbitMQ."""
        with self._lock:
            if self._dispatcher is None:
                self._dispatcher = self._make_dispatcher()
                if self._is_closed:
                    self._dispatcher.close()
            return self._dispatcher

    def _make_dispatcher(self) -> "Dispatcher":
        from taskyard.dispatcher import Dispatcher
        from taskyard.rabbitmq.publisher import Publisher
        from taskyard.runtime import whereabouts

        publisher = Publisher(
            self.settings.broker_url,
            queue_type=self.settings.queue_type,
            name=f"client {os.getpid()}",
            tls=self.settings.tls,
            is_hasty=True,
            hint=whereabouts.remedy(self.settings, "broker_url"),
        )
        return Dispatcher(
            self.store, publisher, publish_deadline_s=self.settings.publish_deadline_s
        )

    def prepare(
        self, options: "TaskOptions", request: "JobRequest", *, traceparent: str | None = None
    ) -> "NewJob":
        """Return the job that `request` asks for, without handing it over.

        Raises:
            InvalidSubmission: If it is too large, or has no JSON form.
        """
        from taskyard.request import new_job

        return new_job(
            request,
            defaults(options, self.settings),
            origin="python",
            payload_max_bytes=self.settings.payload_max_bytes,
            traceparent=traceparent,
        )

    def submit(
        self,
        options: "TaskOptions",
        request: "JobRequest",
        *,
        function: Callable[..., Any] | None = None,
    ) -> JobHandle:
        """Hand one job over; where the task's jobs are unique, the handle may be that of one like it.

        Args:
            options: Of its task.
            request: The job.
            function: What its task runs, for the handle.

        Raises:
            NotUnique: If one like it lives, and the task's policy is to reject.
        """
        running = context.job_of_line()
        parent = None if running is None else running.traceparent
        with Publishing("", request.task, parent=parent) as publishing:
            job = self.prepare(options, request, traceparent=publishing.traceparent)
            created = self.dispatcher.submit(job)
            publishing.made(created.id, job.queue, is_new=created.is_new)
        if not self._has_looked_for_workers:
            self._look_for_workers()
        return JobHandle(created.id, self, function)

    def _look_for_workers(self) -> None:
        """Warn, once, if no worker has ever been at this store: it may be that of something else."""
        self._has_looked_for_workers = True
        try:
            if not self.store.queues():
                logger.warning("no worker has ever been at %s: is it the right store?", self.asked)
        except TaskyardError as error:  # the job is handed over all the same
            logger.debug("workers are not looked for: %s", error)

    def handle(self, job_id: str) -> JobHandle:
        """Return the handle of a job that was handed over elsewhere."""
        return JobHandle(job_id, self)

    def explain(self, job_id: str) -> dict[str, Any]:
        """Return why a job is not running, or where its time went.

        Raises:
            JobNotFound: If there is no record of it.
        """
        from taskyard import explain
        from taskyard.rabbitmq import inspect

        url, tls = self.settings.broker_url, self.settings.tls
        try:
            return explain.explain(
                self.store, self.settings, job_id, ask_broker=lambda: inspect.probe(url, tls=tls)
            )
        except JobNotFound:
            raise JobNotFound(job_id, asked=self.asked) from None

    def why_not_ended(self, job_id: str) -> "Finding | None":
        """Return the most decisive finding about a job, by the store alone; None if that cannot tell."""
        from taskyard import explain

        try:
            return explain.first_finding(self.store, self.settings, job_id)
        except TaskyardError:
            return None

    def close(self) -> None:
        """Close all connections; safe to call twice."""
        with self._lock:
            self._is_closed = True
            dispatcher = self._dispatcher
        (dispatcher or self.store).close()


def defaults(options: "TaskOptions", settings: "Settings") -> "Defaults":
    """Return what a task's jobs get where they do not say."""
    from taskyard.request import Defaults

    return Defaults(
        queue=options.queue,
        priority=options.priority,
        max_retries=settings.max_retries if options.max_retries is None else options.max_retries,
        timeout_s=settings.task_timeout if options.timeout_s is None else options.timeout_s,
        expires_s=options.expires_s,
        unique=options.unique,
    )


_client: Client | None = None
_lock = threading.Lock()


def client() -> Client:
    """Return this process's client, made from the environment when it is first asked for.

    Raises:
        ConfigurationError: If the environment holds unusable settings.
    """
    from taskyard import config

    global _client
    with _lock:
        if _client is None:
            _client = Client(config.load())
            atexit.register(_client.close)
        return _client


def configure(**settings: Any) -> Client:
    """Make this process's client anew with `settings` over the environment, and return it.

    Args:
        settings: By name, such as `broker_url="amqp://…"`.
    """
    from taskyard import config

    global _client
    chosen = Client(config.load(**settings))
    with _lock:
        previous, _client = _client, chosen
    if previous is not None:
        previous.close()
    atexit.register(chosen.close)
    return chosen


def _forget() -> None:
    """Leave the parent's connections to the parent."""
    global _client, _lock
    _client, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)


def _submit(task: Task[..., Any], request: "JobRequest") -> JobHandle:
    return client().submit(task.options, request, function=task.function)


def _get_ready() -> None:
    """Import what handing over needs, when the first task is made: the first call does not wait for it."""
    from taskyard import config, dispatcher, request  # noqa: F401 - to have been imported
    from taskyard.rabbitmq import publisher  # noqa: F401 - likewise
    from taskyard.store import redis  # noqa: F401 - likewise


Task.submitter = staticmethod(_submit)
Task.get_ready = staticmethod(_get_ready)
