"""The commands on what tasks and queues may start."""

from typing import Any

import click

from taskyard import limits
from taskyard.cli.exits import USAGE, fail
from taskyard.cli.log import actor
from taskyard.cli.output import OUTPUT, Output, card, say_one
from taskyard.cli.words import check_known
from taskyard.client import Client
from taskyard.config import load
from taskyard.operations import controls
from taskyard.store import JobStore
from taskyard.store.controls import Kind

KIND = click.argument("kind", type=click.Choice(["task", "queue"]))


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
