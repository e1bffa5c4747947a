"""RabbitMQ's topology: the names of exchanges and queues, the arguments of each, and the lock of a queue."""

import re
from collections.abc import Callable
from typing import Any, Literal

from pika.channel import Channel

from taskyard.errors import BrokerUnavailable, QueueMismatch, TaskyardError
from taskyard.message import MAX_PRIORITY, NAME_PATTERN

DEAD_EXCHANGE = "taskyard.dead"
#: The front door for programs in any language: what they publish here, the intake makes jobs of.
SUBMIT_EXCHANGE = "taskyard.submit"
INTAKE_QUEUE = "taskyard.intake"
#: Exchange and queue of what no queue wanted.
UNROUTED = "taskyard.unrouted"
#: The first version whose quorum queues have strict priorities.
QUORUM_SINCE = (4, 3)

#: The longest time, in milliseconds, that RabbitMQ can leave a delivery unacknowledged: 49 days.
LONGEST_TIMEOUT_MS = 2**32 - 1

#: RabbitMQ's code for an exclusive queue of another connection.
LOCKED = 405

_MISMATCH = re.compile(r"for (queue|exchange) '([^']+)'")

QueueType = Literal["auto", "classic", "quorum"]


def dead_queue(queue: str) -> str:
    """Return the name of the queue that keeps `queue`'s dead letters."""
    return f"{queue}.dead"


def is_reserved(queue: str) -> bool:
    """Return whether a queue's name says that it is one of taskyard's own, other than a work queue."""
    return queue.startswith("taskyard.") or queue.endswith(".dead")


def server_version(server_properties: dict[str, Any] | None) -> tuple[int, int]:
    """Return RabbitMQ's major and minor version, from the properties that it greets with."""
    version = (server_properties or {}).get("version", "")
    text = version.decode() if isinstance(version, bytes) else str(version)
    match = re.match(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def queue_arguments(
    queue: str, *, version: tuple[int, int], queue_type: QueueType = "auto"
) -> dict[str, Any]:
    """Return the arguments of a work queue; every service declares it with these.

    A quorum queue orders by priority from RabbitMQ 4.3 on, and refuses `x-max-priority`; before that only a
    classic queue has strict priorities. Its delivery limit is lifted: crash loops are counted in the store.
    """
    arguments: dict[str, Any] = {
        "x-dead-letter-exchange": DEAD_EXCHANGE,
        "x-dead-letter-routing-key": queue,
    }
    if is_quorum(version, queue_type):
        return arguments | _quorum(version)
    return arguments | {"x-max-priority": MAX_PRIORITY}


def dead_queue_arguments(*, version: tuple[int, int], queue_type: QueueType) -> dict[str, Any]:
    """Return the arguments of a dead-letter queue, and of `taskyard.unrouted`."""
    return _quorum(version) if is_quorum(version, queue_type) else {}


def family(queue: str, *, version: tuple[int, int], queue_type: QueueType) -> dict[str, Any]:
    """Return the arguments of each queue that is declared with a work queue, or with the intake's."""
    dead_arguments = dead_queue_arguments(version=version, queue_type=queue_type)
    arguments = queue_arguments(queue, version=version, queue_type=queue_type)
    unrouted = {UNROUTED: dead_arguments} if queue == INTAKE_QUEUE else {}
    return {dead_queue(queue): dead_arguments, queue: arguments, **unrouted}


def family_of(queue: str) -> str:
    """Return the work queue, or the intake's, that a queue is declared with."""
    return INTAKE_QUEUE if queue == UNROUTED else queue.removesuffix(".dead")


def may_be_family(queue: str) -> bool:
    """Return whether a name can be that of a work queue; the intake's is one too."""
    is_ours = is_reserved(queue) or queue.startswith("amq.")
    return queue == INTAKE_QUEUE or (not is_ours and bool(re.match(NAME_PATTERN, queue)))


def consumer_arguments(*, version: tuple[int, int], queue_type: QueueType) -> dict[str, Any] | None:
    """Return the arguments of a consumer whose deliveries may be unacknowledged for long.

    A worker that is lost is told by its connection and its lease. From 4.3 on a consumer of a quorum queue
    can say so, and RabbitMQ refuses it for a classic one, which has no timeout; before that its
    `consumer_timeout` holds for all.
    """
    can_say_so = version >= QUORUM_SINCE and is_quorum(version, queue_type)
    return {"x-consumer-timeout": LONGEST_TIMEOUT_MS} if can_say_so else None


def is_quorum(version: tuple[int, int], queue_type: QueueType) -> bool:
    """Return whether a work queue is a quorum queue."""
    return queue_type == "quorum" or (queue_type == "auto" and version >= QUORUM_SINCE)


def _quorum(version: tuple[int, int]) -> dict[str, Any]:
    limit = {"x-delivery-limit": -1} if version >= (4, 0) else {}
    return {"x-queue-type": "quorum", **limit}


def declare(
    channel: Channel,
    queue: str,
    *,
    version: tuple[int, int],
    queue_type: QueueType,
    done: Callable[[], None],
) -> None:
    """Declare `queue`, its dead-letter queue and their exchange on `channel`, then call `done`.

    A refusal closes the channel; `declare_error` makes an error of the reason it gives.
    """
    dead = dead_queue(queue)
    dead_arguments = dead_queue_arguments(version=version, queue_type=queue_type)
    arguments = queue_arguments(queue, version=version, queue_type=queue_type)
    channel.exchange_declare(DEAD_EXCHANGE, "direct", durable=True, callback=lambda _: None)
    channel.queue_declare(dead, durable=True, arguments=dead_arguments, callback=lambda _: None)
    channel.queue_bind(dead, DEAD_EXCHANGE, routing_key=queue, callback=lambda _: None)
    channel.queue_declare(queue, durable=True, arguments=arguments, callback=lambda _: done())


def declare_front_door(
    channel: Channel,
    *,
    version: tuple[int, int],
    queue_type: QueueType,
    done: Callable[[], None],
) -> None:
    """Declare on `channel` the exchange for submissions, and the queues behind it, then call `done`.

    What finds no queue goes to `taskyard.unrouted`, which the intake reads too: its own was deleted.
    """
    unrouted = dead_queue_arguments(version=version, queue_type=queue_type)
    channel.exchange_declare(UNROUTED, "fanout", durable=True, callback=lambda _: None)
    channel.queue_declare(UNROUTED, durable=True, arguments=unrouted, callback=lambda _: None)
    channel.queue_bind(UNROUTED, UNROUTED, callback=lambda _: None)
    channel.exchange_declare(
        SUBMIT_EXCHANGE,
        "topic",
        durable=True,
        arguments={"alternate-exchange": UNROUTED},
        callback=lambda _: None,
    )

    declare(
        channel,
        INTAKE_QUEUE,
        version=version,
        queue_type=queue_type,
        done=lambda: bind_intake(channel, done=done),
    )


def bind_intake(channel: Channel, *, done: Callable[[], None]) -> None:
    """Bind the intake's queue to the exchange for submissions, which are declared, then call `done`."""
    channel.queue_bind(INTAKE_QUEUE, SUBMIT_EXCHANGE, routing_key="#", callback=lambda _: done())


def declare_error(queue: str, reason: BaseException) -> TaskyardError:
    """Return the error that a channel closed by a refused declaration stands for.

    Args:
        queue: The queue that was declared, with what belongs to it.
        reason: Why the channel was closed; of a mismatch it names the argument, and what has it.
    """
    code, text = getattr(reason, "reply_code", 0), getattr(reason, "reply_text", str(reason))
    if code != 406:
        return BrokerUnavailable(f"queue {queue!r} could not be declared: {text}")
    match = _MISMATCH.search(text)
    kind, name = (match[1], match[2]) if match else ("queue", queue)
    what_to_do = (
        "Delete it: taskyard makes it anew"
        if kind == "exchange"
        else f"Stop the services and run `taskyard queues move {queue}`, or set QUEUE_TYPE to its type"
    )
    return QueueMismatch(
        f"{kind} {name!r} exists with other arguments than taskyard declares: {text}. {what_to_do}."
    )


def lock(channel: Any, queue: str) -> None:
    """Hold the lock of a queue until the connection of `channel` ends.

    It is a queue that only this connection may have: quorum queues do not heed `exclusive` of a consumer. No
    work queue's name has a space in it.

    Raises:
        ChannelClosedByBroker: If another has it, with `LOCKED`.
    """
    channel.queue_declare(f"{queue} lock", exclusive=True, auto_delete=True)
