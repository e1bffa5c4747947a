"""The commands that list what there is: tasks, queues and workers."""

from collections.abc import Mapping
from operator import itemgetter
from typing import Any

import click

from taskyard.cli.lazy import Later, LazyGroup
from taskyard.cli.output import OUTPUT, Output, pause_text, say_list
from taskyard.cli.table import Column, span
from taskyard.client import Client
from taskyard.config import load
from taskyard.inventory import queue_documents, task_documents, worker_documents
from taskyard.job import State


def _call(task: Mapping[str, Any]) -> str:
    return f"{task['name']}({', '.join(task['signature']['keyword'])})"


def _task_state(task: Mapping[str, Any]) -> str:
    if task["paused"]:
        return "paused"
    return "active" if task["workers"] else "no worker"


_TASKS = (
    Column("TASK", _call),
    Column("QUEUE", itemgetter("queue")),
    Column("STATE", _task_state, kind="state"),
    Column("WORKERS", itemgetter("workers"), kind="number"),
    Column("CONCURRENCY", itemgetter("concurrency"), kind="number", is_optional=True),
    Column("RATE", itemgetter("rate"), kind="number", is_optional=True),
    Column("RETRIES", itemgetter("max_retries"), kind="number"),
    Column("TIMEOUT", lambda task: f"{task['timeout_s']:g}s", kind="number"),
    Column("PAUSED", pause_text, is_optional=True, may_be_cut=True),
    Column("DESCRIPTION", itemgetter("description"), may_be_cut=True),
)


@click.command()
@OUTPUT
def tasks(output: Output) -> None:
    """List the tasks that workers know, with their limits and pauses."""
    say_list(
        task_documents(Client(load()).store),
        _TASKS,
        output=output,
        empty="There is no task yet: no worker has told its tasks. Is one running?",
    )


def _worker_state(worker: Mapping[str, Any]) -> str:
    if not worker["is_alive"]:
        return "lost"
    return "alive" if worker.get("state", "running") == "running" else str(worker["state"])


def _busy(worker: Mapping[str, Any]) -> str:
    """Return how many of its slots are in use; of one that is lost nobody knows."""
    return f"{worker['busy']}/{worker['slots']}" if worker["is_alive"] else ""


def _takes(worker: Mapping[str, Any]) -> str:
    return "suspects alone" if worker.get("is_lone") else ",".join(worker["queues"])


_WORKERS = (
    Column("WORKER", itemgetter("id")),
    Column("STATE", _worker_state, kind="state"),
    Column("BUSY", _busy, kind="number"),
    Column("RUNNING", itemgetter("running"), kind="number"),
    Column("DONE", lambda worker: worker.get("jobs_done"), kind="number"),
    Column("MIB", lambda worker: worker.get("rss_mib"), kind="number"),
    Column("STARTED", lambda worker: worker.get("started_at"), kind="time"),
    Column("SEEN", itemgetter("last_seen_at"), kind="time"),
    Column("QUEUES", _takes, may_be_cut=True),
)


@click.command()
@OUTPUT
def workers(output: Output) -> None:
    """List worker processes; one that is lost is shown for an hour."""
    say_list(
        worker_documents(Client(load()).store),
        _WORKERS,
        output=output,
        empty="There is no worker: nothing runs until one is started.",
    )


def _queue_state(queue: Mapping[str, Any]) -> str:
    if queue["paused"]:
        return "paused"
    return "active" if queue["workers"] else "no worker"


def _oldest(queue: Mapping[str, Any]) -> str:
    wait_s = queue["oldest_pending_s"]
    return "" if wait_s is None else span(wait_s)


def _count(state: State) -> Column:
    return Column(
        state.value.upper(),
        lambda each: each["states"][state],
        kind="number",
        is_optional=state not in (State.PENDING, State.RUNNING),
    )


_QUEUES = (
    Column("QUEUE", itemgetter("queue")),
    Column("STATE", _queue_state, kind="state"),
    Column("WORKERS", itemgetter("workers"), kind="number"),
    *map(_count, State),
    Column("OLDEST", _oldest, kind="number", is_optional=True),
    Column("DEAD", itemgetter("dead_letters"), kind="number", is_optional=True),
    Column("PAUSED", pause_text, is_optional=True, may_be_cut=True),
)


_COMMANDS = {
    "purge": Later("controls:purge", "Cancel all jobs that are pending in the queue NAME."),
    "move": Later("queue_move:move", "Give queues in RabbitMQ the type of QUEUE_TYPE."),
}


@click.group(cls=LazyGroup, sections={"Commands": _COMMANDS}, invoke_without_command=True)
@OUTPUT
@click.pass_context
def queues(context: click.Context, output: Output) -> None:
    """List queues with their jobs by state, who reads them, and whether they are paused."""
    if context.invoked_subcommand is None:
        say_list(
            queue_documents(Client(load()).store),
            _QUEUES,
            output=output,
            empty="There is no queue yet: a worker makes known those of its tasks.",
        )
