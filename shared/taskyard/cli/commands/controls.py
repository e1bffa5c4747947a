"""The commands on what tasks and queues may start, and on what waits in a queue."""

from typing import Any

import click

from taskyard.cli.actor import actor
from taskyard.cli.confirm import YES, confirm, count_of
from taskyard.cli.exits import NOT_FOUND, USAGE, fail, half_way
from taskyard.cli.output import OUTPUT, Output, card, say_one
from taskyard.cli.words import check_name, in_words, not_there
from taskyard.client import Client
from taskyard.config import load
from taskyard.errors import NotFound
from taskyard.operations import controls
from taskyard.policy import limits
from taskyard.store import JobStore
from taskyard.store.controls import Kind, LimitKind

NO_LIMIT = "no limit"
KIND = click.argument("kind", type=click.Choice(["task", "queue"]))


@click.command()
@KIND
@click.argument("name")
@click.option("--reason", default="", help="Why it is paused, for others to see.")
@OUTPUT
def pause(kind: Kind, name: str, reason: str, output: Output) -> None:
    """Let no job of a task or queue start until it is resumed; what runs goes on."""
    client = Client(load())
    check_name(client.store, kind, name)
    with in_words():
        is_new = controls.pause(actor(client), kind, name, reason)
    _say_pause(client.store, kind, name, "paused" if is_new else "was paused", output)


@click.command()
@KIND
@click.argument("name")
@OUTPUT
def resume(kind: Kind, name: str, output: Output) -> None:
    """Let jobs of a task or queue start again."""
    client = Client(load())
    check_name(client.store, kind, name)
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
@click.option("--reset", is_flag=True, help="Go back to what the task declares.")
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
    """Set the limits of a task: those that are named, the others stay. Without options, show them.

    They win over what the task declares, until --reset.
    """
    client = Client(load())
    check_name(client.store, "task", task)
    try:
        wanted = limits.limits(concurrency, rate)
    except ValueError as error:
        fail(f"--{error}".replace("=", " ", 1), USAGE)
    if bool(wanted) + reset + lift > 1:
        raise click.UsageError("give limits, --reset or --none, not several of them")
    if wanted or reset or lift:
        keep: list[LimitKind] = []
        if wanted:
            given: tuple[tuple[LimitKind, Any], ...] = (
                ("concurrency", concurrency),
                ("rate", rate),
            )
            keep = [kind for kind, value in given if value is None]
        controls.set_limits(actor(client), task, None if reset else wanted, keep=keep)
    shown = {"task": task, **controls.limits_of(client.store, task)}
    say_one(shown, _limit_card, output=output)


def _limit_card(shown: dict[str, Any]) -> list[str]:
    declared = shown["declared"]
    source = "what the task declares"
    if shown["is_set"]:
        source = (
            f"an operator; the task declares concurrency {declared['concurrency'] or NO_LIMIT}, "
            f"rate {declared['rate'] or NO_LIMIT} (--reset goes back to it)"
        )
    return card(
        ("task", shown["task"]),
        ("concurrency", shown["concurrency"] or NO_LIMIT),
        ("rate", shown["rate"] or NO_LIMIT),
        ("set by", source),
    )


@click.command()
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Only count the jobs.")
@YES
@OUTPUT
def purge(name: str, dry_run: bool, is_sure: bool, output: Output) -> None:
    """Cancel all jobs that are pending in the queue NAME. It says how many they are, and asks.

    What runs goes on, and what waits for its time is left.
    """
    client = Client(load())
    try:
        cancelled, (left, counted_ms) = 0, controls.purgeable(client.store, name)
    except NotFound:
        there = {each.queue for each in client.store.counts()}
        fail(not_there("queue", name, {*client.store.queues(), *there}), NOT_FOUND)
    said = f"{count_of(left, 'job')} would be cancelled"
    if not dry_run:
        what = f"{count_of(left, 'job')} will be cancelled"
        confirm(what, is_sure=is_sure or not left)
        with half_way("cancelled"):
            cancelled, left = controls.purge(actor(client), name, before_ms=counted_ms)
        said = f"{count_of(cancelled, 'job')} cancelled"
    shown = {"queue": name, "dry_run": dry_run, "cancelled": cancelled, "left": left}
    say_one(shown, lambda _: [said], output=output)
