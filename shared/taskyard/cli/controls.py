"""The commands on tasks and workers, and on what tasks and queues may start."""

import time
from typing import Any

import click

from taskyard import limits
from taskyard.audit_log import ActionName
from taskyard.cli.exits import NOT_FOUND, USAGE, fail
from taskyard.cli.log import recording, who
from taskyard.cli.output import say, say_json
from taskyard.client import Client
from taskyard.config import load
from taskyard.job import rfc3339
from taskyard.store import JobStore
from taskyard.store.controls import Kind, Limits

KIND = click.argument("kind", type=click.Choice(["task", "queue"]))


@click.command()
def tasks() -> None:
    """List the tasks that workers know."""
    for task in Client(load()).store.tasks():
        names = ", ".join(task["signature"]["keyword"])
        say(f"{task['name']}({names})  queue={task['queue']}  {task['description']}")


@click.command()
def workers() -> None:
    """List workers."""
    for worker in Client(load()).store.workers():
        life = "alive" if worker["is_alive"] else f"lost since {rfc3339(worker['last_seen_at'])}"
        is_lone = worker.get("is_lone", False)
        takes = "suspects alone" if is_lone else f"queues={','.join(worker['queues'])}"
        say(f"{worker['id']}  {life}  {worker['busy']}/{worker['slots']} busy  {takes}")


@click.command()
@KIND
@click.argument("name")
@click.option("--reason", default="", help="Why, for whoever finds it paused.")
def pause(kind: Kind, name: str, reason: str) -> None:
    """Let no job of a task or queue start until it is resumed; what runs goes on."""
    client = Client(load())
    store = client.store
    known = store.queues() if kind == "queue" else [task["name"] for task in store.tasks()]
    if name not in known:
        fail(f"no {kind} {name!r}; there are: {', '.join(known) or 'none'}", NOT_FOUND)
    pause = {"at": rfc3339(time.time_ns() // 1_000_000), "by": who(), "reason": reason}
    with recording(
        client.store, client.settings, "task.pause" if kind == "task" else "queue.pause", name
    ) as entry:
        if is_new := store.pause(kind, name, pause):
            entry.before, entry.after = {"paused": None}, {"paused": pause}
        else:
            entry.void()
    say("paused" if is_new else "was paused")


@click.command()
@KIND
@click.argument("name")
def resume(kind: Kind, name: str) -> None:
    """Let jobs of a task or queue start again."""
    client = Client(load())
    before = {"paused": client.store.pauses(kind).get(name)}
    action: ActionName = "task.resume" if kind == "task" else "queue.resume"
    with recording(client.store, client.settings, action, name, before=before) as entry:
        entry.after = {"paused": None}
        if not (is_changed := client.store.resume(kind, name)):
            entry.void()
    say("resumed" if is_changed else "was not paused")


@click.command()
@click.argument("task")
@click.option("--concurrency", type=int, help="Jobs that run at a time, over all workers.")
@click.option("--rate", help="Jobs that start within a time, such as 100/m.")
@click.option("--reset", is_flag=True, help="Take back what was set.")
@click.option("--none", "lift", is_flag=True, help="Lift all limits.")
def limit(task: str, concurrency: int | None, rate: str | None, reset: bool, lift: bool) -> None:
    """Set the limits of a task; without options, show them."""
    client = Client(load())
    store = client.store
    if task not in [known["name"] for known in store.tasks()]:
        fail(f"no task {task!r}", NOT_FOUND)
    try:
        asked = limits.limits(concurrency, rate)
    except ValueError as error:
        fail(str(error), USAGE)
    if asked or reset or lift:
        _limit(client, task, None if reset else asked)
    say_json(_limits(store, task))


def _limit(client: Client, task: str, asked: Limits | None) -> None:
    action: ActionName = "task.unlimit" if asked is None else "task.limit"
    with recording(
        client.store, client.settings, action, task, before=_limits(client.store, task)
    ) as entry:
        client.store.set_limits(task, asked)
        entry.after = _limits(client.store, task)


def _limits(store: JobStore, task: str) -> dict[str, Any]:
    return limits.describe(store.limits().get(task, Limits()))
