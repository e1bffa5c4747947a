"""A job's form on the wire: Dramatiq's JSON envelope with taskyard's fields in its `options`.

The message is also the part of a job that never changes, so the store keeps these very bytes.
"""

import re
from typing import Annotated, Any

import msgspec
import uuid_utils
from msgspec import Meta, Struct

from taskyard.telemetry import trace_context

ID_PATTERN = r"^[A-Za-z0-9._:-]{1,128}$"
NAME_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$"
#: The id of a fire time's job: schedule and time. With an index it is that of no job, but of an array's part.
FIRE_ID_PATTERN = (
    r"^([A-Za-z0-9_][A-Za-z0-9_.-]{0,99}):[0-9]{8}T[0-9]{6}([.][0-9]{3})?Z(:[0-9]{1,3})?$"
)
DEFAULT_PRIORITY = 5
MAX_PRIORITY = 9

# Python's `$` would let a line end pass at the end.
JobId = Annotated[str, Meta(pattern=ID_PATTERN.replace("$", r"\Z"))]
Priority = Annotated[int, Meta(ge=0, le=MAX_PRIORITY)]
#: A hundred years: longer waits and limits are mistakes, and would overflow some clocks.
MAX_SECONDS = 3_155_760_000
#: A message grows by this much at most on its way through the store. Bytes.
MESSAGE_SLACK_BYTES = 1_024
#: More than any job makes; the store's numbers are exact to 2^53.
MAX_ATTEMPTS = 1_000_000
#: The end of the year 9999, past which times have no text. Milliseconds since 1970.
MAX_TIME_MS = 253_402_300_799_999


class Undecodable(ValueError):
    """The body is not JSON."""


class Invalid(ValueError):
    """The body is JSON, but not a message; the text names the field."""


class Options(Struct, kw_only=True, omit_defaults=True):
    """The envelope's `options`: taskyard's fields, and the three of Dramatiq's that it honours."""

    attempt: Annotated[int, Meta(ge=1, le=MAX_ATTEMPTS)] = 1
    #: Attempts made before an operator's retry: retries are counted from there.
    attempts_before: Annotated[int, Meta(ge=0, le=MAX_ATTEMPTS)] = 0
    priority: Priority | None = None
    max_retries: Annotated[int, Meta(ge=0, le=MAX_ATTEMPTS)] | None = None
    timeout_s: Annotated[float, Meta(gt=0, le=MAX_SECONDS)] | None = None
    expires_s: Annotated[float, Meta(gt=0, le=MAX_SECONDS)] | None = None
    tags: list[str] = []
    origin: str = "amqp"
    #: Of any type, since one that is no good is no error; see `Message.traceparent`.
    traceparent: Any = None
    #: Dramatiq's own; milliseconds.
    time_limit: Annotated[float, Meta(gt=0, le=MAX_SECONDS * 1000)] | None = None
    max_age: Annotated[float, Meta(gt=0, le=MAX_SECONDS * 1000)] | None = None
    broker_priority: int | None = None


class Message(Struct, kw_only=True, rename={"task": "actor_name"}):
    """One job, ready to be run; on the wire the fields have Dramatiq's names."""

    queue_name: str
    task: str
    args: list[Any]
    kwargs: dict[str, Any]
    options: Options
    message_id: JobId
    #: When the producer made it, in milliseconds since 1970.
    message_timestamp: Annotated[int, Meta(ge=0, le=MAX_TIME_MS)]

    @property
    def priority(self) -> int:
        """The priority, 0 to 9, higher first."""
        return self.priority_or(DEFAULT_PRIORITY)

    def priority_or(self, otherwise: int) -> int:
        """Return the priority, or another one where the message does not say."""
        options = self.options
        if options.priority is not None:
            return options.priority
        if options.broker_priority is not None:
            return min(max(options.broker_priority, 0), MAX_PRIORITY)
        return otherwise

    @property
    def timeout_s(self) -> float | None:
        """The time limit of an attempt in seconds, or None where the message does not say."""
        options = self.options
        if options.timeout_s is None and options.time_limit is not None:
            return options.time_limit / 1000
        return options.timeout_s

    @property
    def expires_s(self) -> float | None:
        """Seconds after its making past which the job may not start, or None."""
        options = self.options
        if options.expires_s is None and options.max_age is not None:
            return options.max_age / 1000
        return options.expires_s

    @property
    def traceparent(self) -> str | None:
        """The trace context that the producer gave (W3C), or None where there is none or it is no good."""
        return trace_context.valid(self.options.traceparent)

    @property
    def trace_id(self) -> str:
        """The trace that the job belongs to, in 32 hexadecimal digits."""
        return trace_context.trace_id(self.options.traceparent, self.message_id)


def reveal(value: Any) -> Any:
    """Return what pydantic's `SecretStr` hides: the task has to get it.

    Raises:
        TypeError: If it is nothing of that kind.
    """
    if hasattr(value, "get_secret_value"):
        return value.get_secret_value()
    raise TypeError(f"Encoding objects of type {type(value).__name__} is unsupported")


_encoder = msgspec.json.Encoder(enc_hook=reveal)
_decoder = msgspec.json.Decoder(Message)


def encode(message: Message) -> str:
    """Return the body of `message` as JSON text.

    Raises:
        TypeError: If an argument has no JSON form.
    """
    return _encoder.encode(message).decode()


def decode(body: bytes | str) -> Message:
    """Return the message in `body`.

    Raises:
        Undecodable: If it is not JSON.
        Invalid: If a field is missing or wrong, which the text names; or if it is nested too deeply.
    """
    try:
        return _decoder.decode(body)
    except (msgspec.ValidationError, RecursionError) as error:
        raise Invalid(_without_pattern(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Undecodable(str(error)) from None


def _without_pattern(text: str) -> str:
    """Return an error of the library, in words where it has a pattern: only an id has one."""
    found = re.match(r"Expected `str` matching regex '.*' - (at `.*`)", text)
    if found is None:
        return text
    return f"Expected an id of 1 to 128 letters, digits, '.', '_', '-' or ':' - {found[1]}"


def for_attempt(body: str, attempt: int) -> str:
    """Return `body` carrying attempt number `attempt`; fields that taskyard does not know stay."""
    if decode(body).options.attempt == attempt:
        return body
    envelope = msgspec.json.decode(body)
    envelope["options"]["attempt"] = attempt
    return _encoder.encode(envelope).decode()


def complete(body: bytes, options: dict[str, Any]) -> str:
    """Return `body` with those of `options` that it does not have, or has as null; None adds nothing."""
    envelope = msgspec.json.decode(body)
    present = {k: v for k, v in envelope["options"].items() if v is not None}
    added = {k: v for k, v in options.items() if v is not None and k not in present}
    envelope["options"] |= added
    return _encoder.encode(envelope).decode()


def for_retry(body: str, attempts_made: int, edit: dict[str, Any] | None = None) -> str:
    """Return `body` for a job that an operator brings back: retries afresh, and no time to expire.

    Args:
        body: The message as it was.
        attempts_made: Attempts so far; retries are counted from there.
        edit: New `args` and `kwargs`, where they are to change.

    Raises:
        ValueError: If the body is no message.
    """
    decode(body)
    envelope = msgspec.json.decode(body)
    envelope["options"]["attempts_before"] = attempts_made
    for name in ("expires_s", "max_age"):
        envelope["options"].pop(name, None)
    envelope |= edit or {}
    return _encoder.encode(envelope).decode()


def revise(
    body: str,
    *,
    priority: int | None = None,
    args: list[Any] | None = None,
    kwargs: dict[str, Any] | None = None,
) -> str:
    """Return `body` with another priority or arguments; None, and what taskyard does not know, stays."""
    envelope = msgspec.json.decode(body)
    if priority is not None:
        envelope["options"]["priority"] = priority
    if args is not None:
        envelope["args"] = args
    if kwargs is not None:
        envelope["kwargs"] = kwargs
    return _encoder.encode(envelope).decode()


def new_id() -> str:
    """Return a new job id: a UUIDv7, so ids sort by time."""
    return str(uuid_utils.uuid7())
