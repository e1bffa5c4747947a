"""The catalogue of tasks that workers write to the store, and the check of requests against it."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import msgspec

from taskyard.arguments.secrets import redacted, restored
from taskyard.errors import InvalidSubmission, StoreUnavailable
from taskyard.faults import Fault
from taskyard.job import Job, document
from taskyard.policy.decide import Waits
from taskyard.runtime.group_commit import GroupCommit
from taskyard.store import JobStore
from taskyard.task import Task

if TYPE_CHECKING:  # what checks requests is slow to import: who only shows jobs does not need it
    from taskyard.job_creation import Defaults, UniqueRule
    from taskyard.request import JobRequest


def describe(task: Task[..., Any], defaults: "Defaults") -> dict[str, Any]:
    """Return a task's document in the catalogue, as `GET /v1/tasks` shows it."""
    from taskyard.arguments import signature

    return {
        "name": task.name,
        "description": (task.function.__doc__ or "").strip().partition("\n")[0],
        "module": task.function.__module__,
        "queue": defaults.queue,
        "priority": defaults.priority,
        "max_retries": defaults.max_retries,
        "timeout_s": defaults.timeout_s,
        "expires_s": defaults.expires_s,
        "retry_min_s": defaults.retry_min_s,
        "retry_max_s": defaults.retry_max_s,
        "concurrency": task.options.concurrency,
        "rate": task.options.rate,
        "key": task.options.key,
        "unique_for": task.options.unique_for,
        "unique_key": list(task.options.unique_key),
        "unique_policy": task.options.unique_policy,
        "signature": signature.described(task.function),
    }


class Catalogue:
    """The tasks that workers know, read from the store and kept for a second.

    Args:
        store: Where workers write them.
        ttl_s: How old the copy may be, in seconds.
    """

    def __init__(self, store: JobStore, *, ttl_s: float = 1.0) -> None:
        self._store = store
        self._ttl_s = ttl_s
        # All that wait for a reading share its outcome: a store that hangs costs all of them one deadline.
        self._reading: GroupCommit[None, None] = GroupCommit(self._read)
        self._read_at = float("-inf")
        self._tasks: Mapping[str, dict[str, Any]] = {}
        self._queues: frozenset[str] = frozenset()

    def check(self, data: Mapping[str, Any]) -> "tuple[JobRequest, Defaults]":
        """Return the request in `data` and its task's defaults.

        Raises:
            InvalidSubmission: With everything that is wrong: fields, task, queue and arguments.
        """
        from taskyard.arguments import binding
        from taskyard.job_creation import Defaults
        from taskyard.request import parse

        faults: list[Fault] = []
        request: JobRequest | None = None
        try:
            request = parse(data)
        except InvalidSubmission as error:
            faults += error.faults
        self._refresh()
        task = self._tasks.get(str(data.get("task")))
        if task is None and not _has(faults, "/task"):
            faults.append(self._unknown_task(str(data["task"])))
        queue = data.get("queue")
        if queue is not None and not _has(faults, "/queue") and queue not in self._queues:
            faults.append(_unknown("queue", str(queue), self._queues))
        args, kwargs = data.get("args", []), data.get("kwargs", {})
        if task and not _has(faults, "/args") and not _has(faults, "/kwargs"):
            faults += binding.faults(task["signature"], args, kwargs)
        if faults or request is None or task is None:
            raise InvalidSubmission(faults)
        fields = ("queue", "priority", "max_retries", "timeout_s", "expires_s")
        chosen = {field: task[field] for field in fields}
        return request, Defaults(**chosen, unique=_unique_rule(task))

    def check_arguments(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        """Check the arguments of a job of the task `name`.

        Raises:
            InvalidSubmission: With everything that does not fit, or if no worker knows the task.
        """
        from taskyard.arguments import binding

        self._refresh()
        task = self._tasks.get(name)
        faults = (
            [self._unknown_task(name)]
            if task is None
            else binding.faults(task["signature"], args, kwargs)
        )
        if faults:
            raise InvalidSubmission(faults)

    def document(self, job: Job) -> dict[str, Any]:
        """Return the document of a job as it may be shown: secret arguments are hidden."""
        found = document(job)
        return self.shown(found) if job.is_readable else dict(found)

    def shown(self, job_document: Mapping[str, Any]) -> dict[str, Any]:
        """Return a document with `task`, `args` and `kwargs` as it may be shown.

        Of a task that no worker has told yet, nobody knows which arguments are secret: all are hidden.
        """
        found = self.signature(job_document["task"])
        args, kwargs = redacted(found, job_document["args"], job_document["kwargs"])
        return {**job_document, "args": args, "kwargs": kwargs}

    def restored(
        self,
        name: str,
        new: tuple[list[Any], dict[str, Any]],
        old: tuple[list[Any], dict[str, Any]],
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return new `args` and `kwargs` of the task `name`; secrets sent back as shown are as in `old`."""
        found = self.signature(name)
        return new if found is None else restored(found, new, old)

    def signature(self, name: str) -> dict[str, Any] | None:
        """Return the signature of a task, as far as it is known, or None.

        Where the store does not answer, what was read before holds.
        """
        with contextlib.suppress(StoreUnavailable):
            self._refresh()
        task = self._tasks.get(name)
        return None if task is None else task["signature"]

    def retry_waits(self, name: str) -> Waits | None:
        """Return the waits before retries of a task's jobs, or None if no worker has announced them.

        Where the store does not answer, what was read before holds.

        Raises:
            msgspec.ValidationError: If they are no numbers.
        """
        with contextlib.suppress(StoreUnavailable):
            self._refresh()
        task = self._tasks.get(name, {})
        bounds = task.get("retry_min_s"), task.get("retry_max_s")
        return None if None in bounds else msgspec.convert(bounds, Waits)

    def has_secrets(self) -> bool:
        """Return whether any task that is known has a secret argument."""
        with contextlib.suppress(StoreUnavailable):
            self._refresh()
        return any(task["signature"].get("secret") for task in self._tasks.values())

    def queue_of(self, name: str) -> str:
        """Return the queue of a task's jobs that name none; empty if no worker knows the task.

        Raises:
            StoreUnavailable: If the catalogue could not be read.
        """
        self._refresh()
        return str(self._tasks.get(name, {}).get("queue", ""))

    def has_tasks(self) -> bool:
        """Return whether any worker has told its tasks: where none has, nothing can be said of a task.

        Raises:
            StoreUnavailable: If the catalogue could not be read.
        """
        self._refresh()
        return bool(self._tasks)

    def has_queue(self, name: str) -> bool:
        """Return whether any worker has told that it works on a queue of this name.

        Raises:
            StoreUnavailable: If the catalogue could not be read.
        """
        self._refresh()
        return name in self._queues

    def _refresh(self) -> None:
        if self._is_old():
            self._reading([None])

    def _is_old(self) -> bool:
        return time.monotonic() - self._read_at > self._ttl_s

    def _read(self, readers: Sequence[None]) -> Sequence[None]:
        if self._is_old():
            self._tasks = {task["name"]: task for task in self._store.tasks()}
            self._queues = frozenset(self._store.queues())
            self._read_at = time.monotonic()
        return readers

    def _unknown_task(self, name: str) -> Fault:
        if not self._tasks:
            text = f"no task {name!r}: no worker has told its tasks yet; is one running?"
            return Fault("/task", "unknown_task", text)
        return _unknown("task", name, self._tasks, "; restart the worker after adding a task")


def _unique_rule(task: Mapping[str, Any]) -> "UniqueRule | None":
    from taskyard.job_creation import UniqueRule

    if task.get("unique_for") is None:
        return None
    return UniqueRule(
        for_s=task["unique_for"],
        key=tuple(task["unique_key"]),
        policy=task["unique_policy"],
        signature=lambda: task["signature"],
    )


def _unknown(kind: str, name: str, names: Any, besides: str = "") -> Fault:
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    hint = (
        f"did you mean {' or '.join(map(repr, near))}?" if near else f"see GET /v1/{kind}s{besides}"
    )
    return Fault(f"/{kind}", f"unknown_{kind}", f"no {kind} {name!r}; {hint}")


def _has(faults: list[Fault], pointer: str) -> bool:
    return any(f.pointer == pointer or f.pointer.startswith(pointer + "/") for f in faults)
