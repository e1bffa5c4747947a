"""`taskyard queues move`: the move of queues to other arguments."""

from collections.abc import Iterable
from operator import itemgetter
from typing import Any

import click

from taskyard.cli.actor import actor
from taskyard.cli.exits import USAGE, fail
from taskyard.cli.output import OUTPUT, Output, say_list
from taskyard.cli.table import Column
from taskyard.client import Client
from taskyard.config import load
from taskyard.operations import queue_moves as operations
from taskyard.rabbitmq.queue_move import QueueMove
from taskyard.rabbitmq.topology import INTAKE_QUEUE, family_of, may_be_family
from taskyard.store import JobStore

_MOVED = (
    Column("QUEUE", itemgetter("queue")),
    Column("STATE", itemgetter("state"), kind="state"),
    Column("MESSAGES", itemgetter("messages"), kind="number"),
)


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All queues, taskyard's own too.")
@OUTPUT
def move(names: tuple[str, ...], is_all: bool, output: Output) -> None:
    """Give queues in RabbitMQ the type of QUEUE_TYPE, with all messages in them and their dead letters.

    Stop all services first. Interrupted at any moment, it goes on where it was when it is run again.
    """
    if bool(names) == is_all:
        fail("name queues, or give --all", USAGE)
    client = Client(load())
    wanted = _all_families(client.store) if is_all else _families(names)
    operations.check_unread(client.store, wanted)
    settings = client.settings
    mover = QueueMove(settings.broker_url, queue_type=settings.queue_type, tls=settings.tls)
    say_list(
        (shown for queue in sorted(wanted) for shown in _move(client, mover, queue)),
        _MOVED,
        output=output,
        empty="There is no queue.",
        page_rows=1,
    )


def _move(client: Client, mover: QueueMove, queue: str) -> list[dict[str, Any]]:
    """Move a queue and what belongs to it, and return what became of each."""
    done = operations.move(actor(client), mover, queue)
    moved = [
        {
            "queue": each.queue,
            "state": "moved" if operations.is_changed(each) else "as it should be",
            "messages": each.messages,
        }
        for each in done
    ]
    return moved or [{"queue": queue, "state": "not there", "messages": 0}]


def _all_families(store: JobStore) -> set[str]:
    """Return the queues that tasks, jobs or dead letters have, and that of submissions."""
    dead, gone = store.dead_counts()
    used = {each.queue for each in store.counts()} | {queue for queue, _ in dead} | {*gone}
    return {*store.queues(), *used, INTAKE_QUEUE}


def _families(names: Iterable[str]) -> set[str]:
    for name in names:
        if not may_be_family(family_of(name)):
            fail(f"{name!r} cannot be moved: name a work queue, or {INTAKE_QUEUE}", USAGE)
    return {family_of(name) for name in names}
