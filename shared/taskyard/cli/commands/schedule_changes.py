"""The `taskyard schedules` commands that add, change and remove schedules, or show when they would fire."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, get_args

import click

from taskyard.cli.actor import actor
from taskyard.cli.confirm import YES, confirm, count_of
from taskyard.cli.exits import FAILED, NOT_FOUND, fail
from taskyard.cli.job_options import given, job_options
from taskyard.cli.output import OUTPUT, Output, say_answers, say_one
from taskyard.cli.times import DURATION, FUTURE
from taskyard.cli.words import in_words, not_there
from taskyard.client import Client
from taskyard.config import load
from taskyard.errors import ScheduleDeclared, ScheduleExists, ScheduleNotFound, VersionMismatch
from taskyard.job import rfc3339
from taskyard.operations import schedules as operations
from taskyard.operations.actor import Actor
from taskyard.schedules import rule as rules
from taskyard.schedules.cron import zone
from taskyard.schedules.record import ScheduleRecord, document
from taskyard.schedules.rule import Missed, Overlap, Schedule

Command = Callable[..., None]

#: When it fires.
_TIMING = (
    click.option("--cron", help="Five fields, such as '30 3 * * *', or @daily; or give --every."),
    click.option("--every", "every_s", type=DURATION, help="From one time to the next: 90s, 1h."),
    click.option(
        "--anchor", "anchor_at", type=FUTURE, help="A time that --every counts from. Default: now."
    ),
    click.option("--timezone", help="Zone of --cron, such as Europe/Berlin. Default: UTC."),
)
#: What else is said of it.
_POLICY = (
    click.option("--description", help="What it is for, for people."),
    click.option("--jitter", "jitter_s", type=DURATION, help="Fire up to so much later."),
    click.option("--missed", type=click.Choice(get_args(Missed)), help="Of times that passed."),
    click.option("--missed-max", type=int, help="How many of them, with --missed all."),
    click.option("--grace", "grace_s", type=DURATION, help="So late a time is not missed yet."),
    click.option(
        "--overlap",
        type=click.Choice(get_args(Overlap)),
        help="While the job of the last time has not ended.",
    ),
)
#: What may be taken back, so that its default holds, and the fields that it is.
_UNSET = {
    "args": "args",
    "kwargs": "kwargs",
    "queue": "queue",
    "priority": "priority",
    "max-retries": "max_retries",
    "timeout": "timeout_s",
    "expires": "expires_s",
    "tags": "tags",
}


def _rule_options(command: Command) -> Command:
    for option in reversed((*_TIMING, *_POLICY)):
        command = option(command)
    return command


def _timing_options(command: Command) -> Command:
    for option in reversed(_TIMING):
        command = option(command)
    return command


@contextmanager
def named(by: Actor) -> Iterator[None]:
    """End the command where there is no schedule of a name; say which one may be meant."""
    try:
        yield
    except ScheduleNotFound as error:
        names = [row.name for row in by.schedules.all()]
        fail(not_there("schedule", error.name, names), NOT_FOUND)


@click.command()
@click.argument("name")
@click.argument("task")
@click.argument("args", nargs=-1)
@_rule_options
@job_options
@click.option("--paused", "is_paused", is_flag=True, default=None, help="Do not fire for now.")
@OUTPUT
def create(name: str, task: str, args: Sequence[str], output: Output, **fields: Any) -> None:
    """Add a schedule NAME that runs TASK with ARGS, each JSON or else a text.

    `taskyard schedules preview` shows first when it would fire.
    """
    by = actor(Client(load()))
    request = {"name": name, "task": task, **_given(args, fields)}
    with in_words():
        schedule = operations.checked(by, request)
    try:
        row = operations.create(by, schedule)
    except ScheduleExists:
        text = f"there is a schedule {name!r} already: `taskyard schedules update` changes it"
        fail(text, FAILED)
    _say(by, row, "created", output)


@click.command()
@click.argument("name")
@click.argument("args", nargs=-1)
@_rule_options
@click.option("--task", help="Run another task.")
@job_options
@click.option(
    "--unset",
    multiple=True,
    type=click.Choice(list(_UNSET)),
    help="Take back what was said of the job, so that the default holds; repeat.",
)
@OUTPUT
def update(
    name: str, args: Sequence[str], unset: Sequence[str], output: Output, **fields: Any
) -> None:
    """Change the schedule NAME; what is not named stays.

    With other times it starts anew from now. One that a file declares is changed there.
    """
    new = _given(args, fields)
    taken = {_UNSET[option] for option in unset}
    if not new and not taken:
        raise click.UsageError("say what is to be different")
    by = actor(Client(load()))
    with named(by):
        old = by.schedules.get(name)
    with in_words():
        schedule = operations.checked(by, _changed(old, new, taken), old)
    try:
        row = operations.put(
            by,
            schedule,
            old,
            accepts=lambda version: version == old.version,
            reach=old.state.reach,
        )
    except VersionMismatch:
        text = f"schedule {name!r} was changed by somebody else meanwhile: look at it and try again"
        fail(text, FAILED)
    _say(by, row, "changed", output)


def _changed(old: ScheduleRecord, new: dict[str, Any], taken: set[str]) -> dict[str, Any]:
    """Return the fields of a schedule with those that are new; one kind of timing replaces the other."""
    kept = old.schedule.model_dump(exclude_none=True, exclude=taken)
    kept["is_paused"] = old.state.is_paused
    if "cron" in new:
        kept = {name: value for name, value in kept.items() if name not in ("every_s", "anchor_at")}
    if "every_s" in new:
        kept.pop("cron", None)
    return {**kept, **new}


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@YES
@OUTPUT
def delete(names: Sequence[str], is_sure: bool, output: Output) -> None:
    """Remove schedules and what became of their fire times; jobs that they made stay."""
    by = actor(Client(load()))
    with named(by):
        rows = [by.schedules.get(name) for name in dict.fromkeys(names)]
    for row in rows:
        if row.state.is_declared:
            raise ScheduleDeclared(row.name)
    listed = ", ".join(row.name for row in rows)
    confirm(
        f"{count_of(len(rows), 'schedule')} ({listed}) will be removed for good",
        is_sure=is_sure,
    )
    answers: list[dict[str, str]] = []
    try:
        answers.extend({"name": row.name, "verdict": _deleted(by, row)} for row in rows)
    finally:
        say_answers(answers, lambda each: f"{each['name']} {each['verdict']}", output=output)
    if any(each["verdict"] != "deleted" for each in answers):
        sys.exit(NOT_FOUND)


def _deleted(by: Actor, row: ScheduleRecord) -> str:
    """Remove a schedule, and return what became of it: another may have been faster."""
    try:
        operations.delete(by, row.name, row)
    except ScheduleNotFound:
        return "unknown"
    return "deleted"


@click.command()
@click.argument("name", required=False)
@_timing_options
@click.option(
    "--count", type=click.IntRange(1, 100), default=10, help="How many at most. Default: 10."
)
@OUTPUT
def preview(name: str | None, count: int, output: Output, **fields: Any) -> None:
    """Show the next fire times of the schedule NAME, or of a rule that is none yet.

    They are shown as if it were not paused, and without jitter.
    """
    request = _given((), fields)
    if (name is None) == (not request):
        raise click.UsageError("give the name of a schedule, or --cron or --every")
    by = actor(Client(load()))
    now_ms = by.store.now_ms()
    if name is None:
        with in_words():
            schedule = rules.parse({"name": "new", "task": "new", **request})
        anchor_ms = now_ms
    else:
        with named(by):
            row = by.schedules.get(name)
        schedule, anchor_ms = row.schedule, row.state.created_at
    found = rules.preview(schedule, now_ms, anchor_ms=anchor_ms, count=count)
    say_one(
        {"items": [rfc3339(each) for each in found]},
        lambda _: [_fire_line(schedule, each) for each in found],
        output=output,
    )


def _fire_line(schedule: Schedule, at_ms: int) -> str:
    """Return a fire time in UTC and as the clocks of the schedule's zone have it."""
    there = datetime.fromtimestamp(at_ms / 1000, zone(schedule.timezone))
    return f"{rfc3339(at_ms)}  {there:%a %Y-%m-%d %H:%M:%S %Z}"


def _given(args: Sequence[str], fields: dict[str, Any]) -> dict[str, Any]:
    return given(args, {**fields, "anchor_at": rfc3339(fields["anchor_at"])})


def _say(by: Actor, row: ScheduleRecord, done: str, output: Output) -> None:
    shown = by.catalogue.shown(document(row))
    state = "paused" if shown["is_paused"] else f"next {shown['next_fire_at']}"
    say_one(shown, lambda _: [f"{row.name} {done}  {state}"], output=output)
