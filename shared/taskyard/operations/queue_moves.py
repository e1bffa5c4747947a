"""What an operator does to queues in RabbitMQ: move them to the arguments that they should have."""

from collections.abc import Collection

from taskyard.errors import QueueInUse
from taskyard.operations.actor import Actor
from taskyard.rabbitmq.queue_move import Moved, QueueMove
from taskyard.store import JobStore


def check_unread(store: JobStore, queues: Collection[str]) -> None:
    """Refuse queues that workers read.

    Raises:
        QueueInUse: If one is read by a worker that lives.
    """
    for worker in store.workers():
        for queue in sorted({*queues} & {*worker["queues"]}):
            if worker["is_alive"]:
                text = f"worker {worker['id']} reads {queue}: stop all services first"
                raise QueueInUse(text)


def move(actor: Actor, mover: QueueMove, queue: str) -> list[Moved]:
    """Move a queue with its dead letters, and return what became of each; nothing: it is not there.

    Raises:
        QueueInUse: If workers or others read it, or messages keep coming to it.
        Unavailable: If the store or RabbitMQ does not answer.
    """
    check_unread(actor.store, [queue])
    with actor.recording("queue.move", queue) as entry:
        done = mover.move(queue)
        entry.after = {each.queue: each.messages for each in done if is_changed(each)}
        if not entry.after:
            entry.void()
    return done


def is_changed(moved: Moved) -> bool:
    """Return whether a move changed a queue."""
    return moved.is_new or moved.messages > 0
