"""The `taskyard queues` commands: what queues there are, and their move to other arguments."""

from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any

import click

from taskyard.cli.exits import FAILED, USAGE, fail
from taskyard.cli.log import recording
from taskyard.cli.output import OUTPUT, Output, pause_text, say_list
from taskyard.cli.table import Column, span
from taskyard.client import Client
from taskyard.config import load
from taskyard.inventory import queue_documents
from taskyard.job import State
from taskyard.rabbitmq.queue_move import Moved, QueueMove
from taskyard.rabbitmq.topology import INTAKE_QUEUE, family_of, may_be_family
from taskyard.store import JobStore


def _state(queue: Mapping[str, Any]) -> str:
    if queue["paused"]:
        return "paused"
    return "active" if queue["workers"] else "no worker"


def _oldest(queue: Mapping[str, Any]) -> str:
    wait_s = queue["oldest_pending_s"]
    return "" if wait_s is None else span(wait_s)


def _count(state: State) -> Column:
    return Column(
        state.value.upper(), lambda each: each["states"][state], kind="number", is_optional=True
    )


_COLUMNS = (
    Column("QUEUE", itemgetter("queue")),
    Column("STATE", _state, kind="state"),
    Column("WORKERS", itemgetter("workers"), kind="number"),
    *map(_count, State),
    Column("OLDEST", _oldest, kind="number", is_optional=True),
    Column("DEAD", itemgetter("dead_letters"), kind="number", is_optional=True),
    Column("PAUSED", pause_text, is_optional=True, may_be_cut=True),
)

_MOVED = (
    Column("QUEUE", itemgetter("queue")),
    Column("STATE", itemgetter("state"), kind="state"),
    Column("MESSAGES", itemgetter("messages"), kind="number"),
)


@click.group(invoke_without_command=True)
@OUTPUT
@click.pass_context
def queues(context: click.Context, output: Output) -> None:
    """List queues with their jobs by state, who reads them, and whether they are paused."""
    if context.invoked_subcommand is None:
        say_list(
            queue_documents(Client(load()).store),
            _COLUMNS,
            output=output,
            empty="There is no queue yet: a worker makes known those of its tasks.",
        )


@queues.command()
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
    wanted = _known(client.store) if is_all else _families(names)
    for queue in sorted(wanted):
        _refuse_read(client, queue)
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
    with recording(client.store, client.settings, "queue.move", queue) as entry:
        done = mover.move(queue)
        entry.after = {each.queue: each.messages for each in done if _is_changed(each)}
        if not entry.after:
            entry.void()
    moved = [
        {
            "queue": each.queue,
            "state": "moved" if _is_changed(each) else "as it should be",
            "messages": each.messages,
        }
        for each in done
    ]
    return moved or [{"queue": queue, "state": "not there", "messages": 0}]


def _known(store: JobStore) -> set[str]:
    """Return the queues that tasks, jobs or dead letters have, and that of submissions."""
    dead, gone = store.dead_counts()
    used = {each.queue for each in store.counts()} | {queue for queue, _ in dead} | {*gone}
    return {*store.queues(), *used, INTAKE_QUEUE}


def _families(names: Iterable[str]) -> set[str]:
    for name in names:
        if not may_be_family(family_of(name)):
            fail(f"{name!r} cannot be moved: name a work queue, or {INTAKE_QUEUE}", USAGE)
    return {family_of(name) for name in names}


def _refuse_read(client: Client, queue: str) -> None:
    for worker in client.store.workers():
        if worker["is_alive"] and queue in worker["queues"]:
            fail(f"worker {worker['id']} reads {queue}: stop all services first", FAILED)


def _is_changed(moved: Moved) -> bool:
    return moved.is_new or moved.messages > 0
