"""Attempts for the worker's unit tests, without a store or a broker behind them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pika.spec import BasicProperties

from services.worker.attempts.running import RunningAttempt
from services.worker.consuming.inbox import Delivery
from services.worker.dramatiq_bridge.interrupts import notice_swallowed
from taskyard.message import Message, Options, new_id


def delivery(body: bytes = b"{}", *, queue: str = "default", **properties: Any) -> Delivery:
    """Return a delivery on no channel at all."""
    return Delivery(queue, 1, body, BasicProperties(**properties), None)


def attempt(task: str = "job", *args: Any, **fields: Any) -> RunningAttempt:
    """Return an attempt that has been claimed; `fields` are those of `RunningAttempt` or of its options."""
    own = {name: fields.pop(name) for name in ("kwargs", "number", "job_id") if name in fields}
    message = Message(
        queue_name="default",
        task=task,
        args=list(args),
        kwargs=own.get("kwargs", {}),
        options=Options(attempt=own.get("number", 1)),
        message_id=own.get("job_id") or new_id(),
        message_timestamp=0,
    )
    chosen: dict[str, Any] = {
        "token": 1,
        "crashes": 0,
        "first_failed_at_ms": None,
        "timeout_s": 60,
        "max_retries": 3,
        **fields,
    }
    return RunningAttempt(message, delivery(), **chosen)


@contextmanager
def noticing_swallowed() -> Iterator[None]:
    """Learn of swallowed interrupts as a worker does, for a while."""
    usual = sys.unraisablehook
    notice_swallowed()
    try:
        yield
    finally:
        sys.unraisablehook = usual
