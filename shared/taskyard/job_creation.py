"""A job of a checked request: the defaults that it gets, its lock if it is unique, and its message."""

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from taskyard import message as wire
from taskyard.arguments.binding import bound
from taskyard.errors import InvalidSubmission
from taskyard.faults import Fault
from taskyard.message import Message, Options
from taskyard.request import JobRequest
from taskyard.store.jobs import NewJob, Unique, UniquePolicy
from taskyard.validation.nesting import check_json_depth
from taskyard.validation.strict_json import unsendable


class UniqueRule(msgspec.Struct, frozen=True, kw_only=True):
    """What `@task(unique_for=…)` says: which jobs of the task are alike, for how long, and who yields."""

    for_s: float
    #: Parameters whose values make jobs alike; empty: all of them.
    key: tuple[str, ...] = ()
    policy: UniquePolicy = "existing"
    #: Gives the task's signature, as `signature.describe` does.
    signature: Callable[[], Mapping[str, Any]]

    def unique(self, request: JobRequest) -> Unique:
        """Return the lock of the job that `request` asks for."""
        values = bound(self.signature(), request.args, request.kwargs)
        chosen = {name: values.get(name) for name in self.key} if self.key else values
        text = json.dumps(chosen, sort_keys=True, default=_plain)
        digest = hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:32]
        lock_ms = max(1, round(self.for_s * 1000))
        return Unique(lock=f"{request.task}|{digest}", lock_ms=lock_ms, policy=self.policy)


def _plain(value: Any) -> Any:
    """Return a form of a value that JSON has none for; secrets show theirs only to who asks."""
    try:
        return wire.reveal(value)
    except TypeError:
        return str(value)


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """What a job gets where its request does not say; the task's own or the settings'."""

    queue: str
    priority: int
    max_retries: int
    timeout_s: float
    expires_s: float | None = None
    #: The waits before a retry; None where they are not known.
    retry_min_s: float | None = None
    retry_max_s: float | None = None
    unique: UniqueRule | None = None


def new_job(
    request: JobRequest,
    defaults: Defaults,
    *,
    origin: str,
    payload_max_bytes: int,
    traceparent: str | None = None,
) -> NewJob:
    """Return the job that `request` asks for, with its message.

    Raises:
        InvalidSubmission: If an argument has no JSON form, the message is nested too deeply, or it is larger
            than `payload_max_bytes`.
    """
    message = _message(request, defaults, origin=origin, traceparent=traceparent)
    return NewJob(
        id=message.message_id,
        task=request.task,
        queue=message.queue_name,
        priority=message.priority,
        body=_body(message, request, payload_max_bytes),
        delay_ms=None if request.delay_s is None else round(request.delay_s * 1000),
        run_at_ms=None if request.run_at is None else round(request.run_at.timestamp() * 1000),
        unique=None if defaults.unique is None else defaults.unique.unique(request),
        traceparent=traceparent,
    )


def _message(
    request: JobRequest, defaults: Defaults, *, origin: str, traceparent: str | None
) -> Message:
    return Message(
        queue_name=request.queue or defaults.queue,
        task=request.task,
        args=request.args,
        kwargs=request.kwargs,
        options=Options(
            priority=defaults.priority if request.priority is None else request.priority,
            max_retries=defaults.max_retries
            if request.max_retries is None
            else request.max_retries,
            timeout_s=defaults.timeout_s if request.timeout_s is None else request.timeout_s,
            expires_s=defaults.expires_s if request.expires_s is None else request.expires_s,
            tags=request.tags,
            origin=origin,
            traceparent=traceparent,
        ),
        message_id=request.id or wire.new_id(),
        message_timestamp=time.time_ns() // 1_000_000,
    )


def _body(message: Message, request: JobRequest, max_bytes: int) -> str:
    try:
        body = wire.encode(message)
    except (TypeError, ValueError, RecursionError) as error:
        raise _without_json_form(request, error) from None
    # The encoder makes null of NaN. A body without any null has none.
    if "null" in body and (fault := _unsendable(request)) is not None:
        raise InvalidSubmission([fault])
    encoded = body.encode()
    if len(encoded) > max_bytes:
        raise _too_large(len(encoded), max_bytes)
    check_json_depth(encoded)
    return body


def check_size(job: object, max_bytes: int) -> None:
    """Refuse one of several jobs that is larger than one alone may be, before anything else is said of it.

    Args:
        job: The job as it is asked for, as JSON was decoded to it.
        max_bytes: The most that it may take as JSON.

    Raises:
        InvalidSubmission: If it takes more.
    """
    size_bytes = len(msgspec.json.encode(job))
    if size_bytes > max_bytes:
        raise _too_large(size_bytes, max_bytes)


def _too_large(size_bytes: int, max_bytes: int) -> InvalidSubmission:
    text = f"the job takes {size_bytes} bytes, more than the {max_bytes} of PAYLOAD_MAX_BYTES"
    return InvalidSubmission([Fault("", "too_large", text)])


def _without_json_form(request: JobRequest, error: Exception) -> InvalidSubmission:
    fault = Fault("/args", "not_json", f"no JSON form: {error}")
    with contextlib.suppress(TypeError, ValueError, RecursionError):
        fault = _unsendable(request) or fault
    return InvalidSubmission([fault])


def _unsendable(request: JobRequest) -> Fault | None:
    """Return the first argument without a form in JSON, of those that the encoder lets pass."""
    arguments = {"args": request.args, "kwargs": request.kwargs}
    return unsendable(msgspec.to_builtins(arguments))
