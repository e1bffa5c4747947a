"""What a dead letter looks like: the message as it was, byte for byte, with the reason in its headers."""

import base64
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from taskyard.dead_letters.fingerprint import fingerprint
from taskyard.job import JobError, rfc3339
from taskyard.message import MAX_ATTEMPTS, MAX_TIME_MS, new_id
from taskyard.rabbitmq.bodies import BEGINNING_BYTES, Beginning, cut, whole_bytes, whole_sha256
from taskyard.rabbitmq.outgoing import Outgoing
from taskyard.rabbitmq.properties import property_text, received_number
from taskyard.store.dead_letters import DeadLetter

REASON_HEADER = "taskyard-reason"
ID_HEADER = "taskyard-dead-letter-id"
FINGERPRINT_HEADER = "taskyard-fingerprint"
#: Of a letter that has only the beginning of its message: how long the whole was, in bytes, and its SHA-256.
WHOLE_BYTES_HEADER = "taskyard-whole-bytes"
WHOLE_SHA256_HEADER = "taskyard-whole-sha256"
#: No message is longer.
MAX_BYTES = 2**40
#: What RabbitMQ adds to a message that it moves to a dead-letter queue by itself.
BROKERS_HEADER = "x-death"
#: How much of the body of what never was a job is in the index, in bytes.
PREVIEW_BYTES = 2048
#: Longest error text in a header, in characters; the whole of it is on the job.
MAX_TEXT_CHARS = 1000


def dead_letter(
    queue: str,
    body: bytes,
    *,
    id: str | None,  # noqa: A002 - the name of the field it fills
    task: str | None,
    error: JobError | None,
    priority: int,
    reason: str = "",
    attempts: int = 0,
    first_failed_at_ms: int | None = None,
    worker: str | None = None,
    failed_at_ms: int | None = None,
) -> Outgoing:
    """Return the message for the dead-letter queue of `queue`; what is not known is left out of its headers.

    Args:
        queue: The work queue that the message was read from.
        body: The message as it was read, or the beginning of it; it need not be one of ours, or JSON at all.
        id: The job's id, if the message has one.
        task: The task's name, if the message has one.
        error: What the last attempt, or the check of the message, said.
        priority: The message's priority, 0 to 9.
        reason: One of the words of `docs/protocol.md`: `retries_exhausted`, `timeout`, `undecodable`, …; that
            of the error if empty.
        attempts: Attempts that were started; 0: it never was a job, and gets an id of its own.
        first_failed_at_ms: When the first of them failed, in milliseconds since 1970; None: just now.
        worker: Name of the worker that gave up on it.
        failed_at_ms: When it died, in milliseconds since 1970; None means now.
    """
    died_at_ms = time.time_ns() // 1_000_000 if failed_at_ms is None else failed_at_ms
    reason = reason or (error.reason if error else "")
    error_type, message = (error.type, error.message) if error else (reason, "")
    headers = {
        REASON_HEADER: reason,
        ID_HEADER: id if id and attempts else new_id(),
        FINGERPRINT_HEADER: fingerprint(
            task or "", error_type, message, error.traceback if error else ""
        ),
        "taskyard-error-type": _bounded(error.type) if error else None,
        "taskyard-error-message": _bounded(error.message) if error else None,
        "taskyard-attempts": attempts,
        "taskyard-first-failed-at": rfc3339(first_failed_at_ms or died_at_ms),
        "taskyard-failed-at": rfc3339(died_at_ms),
        "taskyard-queue": queue,
        "taskyard-worker": _bounded(worker) if worker else None,
        **_cut_headers(body),
    }
    return Outgoing(
        queue=queue,
        body=body,
        id=property_text(id or ""),
        task=property_text(task or ""),
        priority=priority,
        headers={name: value for name, value in headers.items() if value is not None},
        is_dead=True,
    )


def shortened(letter: Outgoing) -> Outgoing:
    """Return a letter that RabbitMQ does not take, as it is too large, with the beginning of its message."""
    body = cut(letter.body, min(BEGINNING_BYTES, len(letter.body) // 2))
    return msgspec.structs.replace(
        letter, body=body, headers=(letter.headers or {}) | _cut_headers(body)
    )


def _cut_headers(body: bytes) -> dict[str, Any]:
    if not isinstance(body, Beginning):
        return {}
    return {WHOLE_BYTES_HEADER: body.whole_bytes, WHOLE_SHA256_HEADER: body.sha256}


def indexed(letter: Outgoing) -> tuple[DeadLetter, str]:
    """Return the entry of a dead letter in the store's index, and its body as far as it is text."""
    return index_entry(
        letter.queue,
        letter.body,
        letter.headers or {},
        id=letter.id,
        task=letter.task,
        priority=letter.priority,
        digest=_never,
    )


def _never(_body: bytes) -> str:
    raise AssertionError("a dead letter of ours has an id")


def index_entry(
    queue: str,
    body: bytes,
    headers: Mapping[str, Any],
    *,
    id: str,  # noqa: A002 - the name of the property
    task: str,
    priority: int,
    digest: Callable[[bytes], str],
) -> tuple[DeadLetter, str]:
    """Return the same of a message as it was read from a dead-letter queue.

    One that RabbitMQ itself put there, or an operator, has no headers of ours: its id is made of its bytes
    and its `id`, by a `digest` that tells nobody else whether he has guessed what is secret in them.
    A producer can have it done, by an expiration, so what such a message says of itself in our words is void.
    """
    if BROKERS_HEADER in headers:
        headers = {}

    def text(name: str) -> str:
        value = headers.get(name)
        return value if isinstance(value, str) else ""

    made = received_number(headers.get("taskyard-attempts"), 0, MAX_ATTEMPTS) or 0
    sha256 = text(WHOLE_SHA256_HEADER)
    told_bytes = received_number(headers.get(WHOLE_BYTES_HEADER), 1, MAX_BYTES)
    whole = None if sha256 or isinstance(body, Beginning) else _text(body)
    is_job = (
        made > 0 and bool(id) and whole is not None
    )  # a job's message is text, whatever its headers say
    died_at_ms = _milliseconds(text("taskyard-failed-at"))
    reason = text(REASON_HEADER) or "unknown"
    error_type, message = text("taskyard-error-type"), text("taskyard-error-message")
    own_id = text(ID_HEADER) or digest((whole_sha256(body) + id).encode())[:32]
    preview, encoding = ("", "text") if is_job else _preview(body)
    entry = DeadLetter(
        id=id if is_job else own_id,
        is_job=is_job,
        queue=queue,
        task=task,
        reason=reason,
        error_type=error_type,
        error_message=message,
        fingerprint=text(FINGERPRINT_HEADER) or fingerprint(task, error_type or reason, message),
        attempts=made,
        failed_at_ms=died_at_ms,
        first_failed_at_ms=_milliseconds(text("taskyard-first-failed-at")) or died_at_ms,
        worker=text("taskyard-worker"),
        priority=priority,
        body_bytes=told_bytes if sha256 and told_bytes else whole_bytes(body),
        kept_bytes=_kept_bytes(body, is_cut=bool(sha256)),
        body_sha256=sha256,
        preview=preview,
        preview_encoding=encoding,
    )
    return entry, whole or "" if is_job else ""


def _kept_bytes(body: bytes, *, is_cut: bool) -> int:
    """Return how long the message in RabbitMQ is."""
    return len(body) if is_cut else whole_bytes(body)


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _preview(body: bytes) -> tuple[str, str]:
    """Return the beginning of a body and how it is written: as text, if it is text."""
    start = body[:PREVIEW_BYTES]
    try:
        return start.decode(), "text"
    except UnicodeDecodeError as error:
        # A character that the cut went through is no reason to show none of the others.
        if len(body) > PREVIEW_BYTES and error.start > PREVIEW_BYTES - 4:
            return start[: error.start].decode(), "text"
        return base64.b64encode(start).decode(), "base64"


def _milliseconds(text: str) -> int:
    try:
        found = round(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError):
        return 0
    return found if 0 <= found <= MAX_TIME_MS else 0


def _bounded(text: str) -> str:
    """Cut a long text, and give what is no Unicode (a lone surrogate) a form that can be sent."""
    cut = text if len(text) <= MAX_TEXT_CHARS else text[: MAX_TEXT_CHARS - 1] + "…"
    return cut.encode(errors="backslashreplace").decode()[:MAX_TEXT_CHARS]
