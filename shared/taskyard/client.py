"""The client of a Python process: its one dispatcher, opened when it is first needed."""

import atexit
import logging
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from taskyard import context
from taskyard.errors import JobNotFound, TaskyardError
from taskyard.job_handle import JobHandle
from taskyard.task import Task
from taskyard.telemetry.tracing import Publishing

if TYPE_CHECKING:  # `import taskyard` stays quick: see `_get_ready`
    from taskyard.config import Settings
    from taskyard.dispatcher import Dispatcher
    from taskyard.explain.findings import Finding
    from taskyard.job_creation import Defaults
    from taskyard.request import JobRequest
    from taskyard.store import JobStore
    from taskyard.store.jobs import NewJob
    from taskyard.task_options import TaskOptions

logger = logging.getLogger(__name__)


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
        self.store_label = whereabouts.store_label(settings)
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
        from taskyard.job_creation import new_job

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
                logger.warning(
                    "no worker has ever been at %s: is it the right store?", self.store_label
                )
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
            raise JobNotFound(job_id, store_label=self.store_label) from None

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
    from taskyard.job_creation import Defaults
    from taskyard.policy.decide import waits

    between = waits(settings, min_s=options.retry_min_s, max_s=options.retry_max_s)
    return Defaults(
        queue=options.queue,
        priority=options.priority,
        max_retries=settings.max_retries if options.max_retries is None else options.max_retries,
        timeout_s=settings.task_timeout if options.timeout_s is None else options.timeout_s,
        expires_s=options.expires_s,
        retry_min_s=between.min_s,
        retry_max_s=between.max_s,
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
    from taskyard import config, dispatcher, job_creation  # noqa: F401 - to have been imported
    from taskyard.policy import decide  # noqa: F401 - likewise
    from taskyard.rabbitmq import publisher  # noqa: F401 - likewise
    from taskyard.store import redis  # noqa: F401 - likewise


Task.submitter = staticmethod(_submit)
Task.get_ready = staticmethod(_get_ready)
