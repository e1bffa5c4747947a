"""The commands on tasks and workers, and on what tasks and queues may start."""

from collections.abc import Mapping
from operator import itemgetter
from typing import Any

import click

from taskyard import limits
from taskyard.cli.exits import USAGE, fail
from taskyard.cli.log import actor
from taskyard.cli.output import OUTPUT, Output, card, pause_text, say_list, say_one
from taskyard.cli.table import Column
from taskyard.cli.words import check_known
from taskyard.client import Client
from taskyard.config import load
from taskyard.inventory import task_documents, worker_documents
from taskyard.operations import controls
from taskyard.store import JobStore
from taskyard.store.controls import Kind

KIND = click.argument("kind", type=click.Choice(["task", "queue"]))


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


@click.command()
@KIND
@click.argument("name")
@click.option("--reason", default="", help="Why, for whoever finds it paused.")
@OUTPUT
def pause(kind: Kind, name: str, reason: str, output: Output) -> None:
    """Let no job of a task or queue start until it is resumed; what runs goes on."""
    client = Client(load())
    check_known(client.store, kind, name)
    is_new = controls.pause(actor(client), kind, name, reason)
    _say_pause(client.store, kind, name, "paused" if is_new else "was paused", output)


@click.command()
@KIND
@click.argument("name")
@OUTPUT
def resume(kind: Kind, name: str, output: Output) -> None:
    """Let jobs of a task or queue start again."""
    client = Client(load())
    check_known(client.store, kind, name)
    is_changed = controls.resume(actor(client), kind, name)
    said = "resumed" if is_changed else "was not paused"
    _say_pause(client.store, kind, name, said, output)


def _say_pause(store: JobStore, kind: Kind, name: str, said: str, output: Output) -> None:
    shown = {"name": name, "paused": store.pauses(kind).get(name)}
    say_one(shown, lambda _: [said], output=output)


@click.command()
@click.argument("task")
@click.option("--concurrency", type=int, help="Jobs that run at a time, over all workers.")
@click.option("--rate", help="Jobs that start within a time, such as 100/m.")
@click.option("--reset", is_flag=True, help="Take back what was set.")
@click.option("--none", "lift", is_flag=True, help="Lift all limits.")
@OUTPUT
def limit(
    task: str,
    concurrency: int | None,
    rate: str | None,
    reset: bool,
    lift: bool,
    output: Output,
) -> None:
    """Set the limits of a task; without options, show them."""
    client = Client(load())
    check_known(client.store, "task", task)
    try:
        asked = limits.limits(concurrency, rate)
    except ValueError as error:
        fail(str(error), USAGE)
    if asked or reset or lift:
        controls.set_limits(actor(client), task, None if reset else asked)
    shown = {"task": task, **controls.limits_of(client.store, task)}
    say_one(shown, _limit_card, output=output)


def _limit_card(shown: dict[str, Any]) -> list[str]:
    return card(
        ("task", shown["task"]),
        ("concurrency", shown["concurrency"] or "no limit"),
        ("rate", shown["rate"] or "no limit"),
    )
