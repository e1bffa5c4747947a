"""The commands on jobs: hand them over, and look at them."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from operator import itemgetter
from typing import Any

import click

from taskyard.catalogue import Catalogue
from taskyard.cli import job_card, which_jobs
from taskyard.cli.exits import FAILED, TIMED_OUT
from taskyard.cli.job_options import given, job_options
from taskyard.cli.output import OUTPUT, Output, first_line, say, say_list, say_one
from taskyard.cli.table import Column
from taskyard.cli.times import DURATION, FUTURE
from taskyard.cli.words import in_words
from taskyard.client import Client
from taskyard.config import load
from taskyard.errors import JobNotFound
from taskyard.job import TERMINAL, WAITING, Job, State, rfc3339
from taskyard.request import new_job
from taskyard.store.finding import Filter

#: Jobs that are read at a time.
PAGE = 200


@click.command()
@click.argument("task")
@click.argument("args", nargs=-1)
@job_options
@click.option("--delay", "delay_s", type=DURATION, help="Run so long from now, such as 90 or 10m.")
@click.option(
    "--run-at", type=FUTURE, help="Run at this time: a time (UTC), or like 2h (from now)."
)
@click.option("--id", help="Id of your choice: the same id twice is one job.")
@click.option(
    "--wait", type=DURATION, help="Wait so long for its end, such as 30s, and show the job."
)
@OUTPUT
def submit(
    task: str,
    args: Sequence[str],
    run_at: int | None,
    wait: float | None,
    output: Output,
    **fields: Any,
) -> None:
    """Hand over a job of TASK with ARGS, each JSON or else a text; print its id."""
    asked = {"task": task, **given(args, {**fields, "run_at": rfc3339(run_at)})}
    client = Client(load())
    with in_words():
        request, defaults = Catalogue(client.store).check(asked)
        job = new_job(
            request, defaults, origin="cli", payload_max_bytes=client.settings.payload_max_bytes
        )
    created = client.dispatcher.submit(job)
    client.close()
    if not created.is_new:
        say(f"{created.id} was there already: nothing was submitted", err=True)
    if wait is not None:
        _show_end(client, created.id, wait, output)
    elif output == "json":
        _show_now(client, created.id, output)
    else:
        say(created.id)


@click.command()
@click.argument("job_id")
@click.option("--wait", type=DURATION, help="Wait so long for its end, such as 30s.")
@OUTPUT
def status(job_id: str, wait: float | None, output: Output) -> None:
    """Show a job. With --wait the exit code tells how it ended: 0 completed, 1 not, 124 not yet."""
    client = Client(load())
    if wait is not None:
        _show_end(client, job_id, wait, output)
    else:
        _show_now(client, job_id, output)


def _due(job: Mapping[str, Any]) -> str | None:
    """Return when it is to run, of a job that waits for that."""
    return job["run_at"] if State(job["state"]) in WAITING else None


def _error(job: Mapping[str, Any]) -> str:
    error = job["error"]
    return f"{error['type']}: {first_line(error['message'])}" if error else ""


_COLUMNS = (
    Column("ID", itemgetter("id")),
    Column("STATE", itemgetter("state"), kind="state"),
    Column("TASK", itemgetter("task"), may_be_cut=True),
    Column("QUEUE", itemgetter("queue"), may_be_cut=True),
    Column("ATTEMPT", itemgetter("attempt"), kind="number", is_optional=True),
    Column("CREATED", itemgetter("created_at"), kind="time"),
    Column("DUE", _due, kind="time", is_optional=True),
    Column("ERROR", _error, is_optional=True, may_be_cut=True),
)


@click.command()
@which_jobs.job_filter(tuple(State))
@click.option("--due", is_flag=True, help="Those that wait for a time, soonest first.")
@click.option("--limit", type=click.IntRange(1), default=20, help="How many at most. Default: 20.")
@click.option("--all", "is_all", is_flag=True, help="All of them, however many.")
@click.option("--count", "is_count", is_flag=True, help="Only count them.")
@OUTPUT
def jobs(
    due: bool, limit: int, is_all: bool, is_count: bool, output: Output, **fields: Any
) -> None:
    """List jobs, newest first."""
    wanted = which_jobs.wanted(fields)
    client = Client(load())
    if is_count:
        which_jobs.say_count(client.store.count(wanted), output=output)
        return
    found = _jobs(client, wanted, PAGE if is_all else limit, is_due=due)
    first = list(islice(found, 1))
    say_list(
        map(
            Catalogue(client.store).document,
            islice(chain(first, found), None if is_all else limit),
        ),
        _COLUMNS,
        output=output,
        empty="" if first else which_jobs.none_fits(client.store, wanted),
    )


def _jobs(client: Client, wanted: Filter, limit: int, *, is_due: bool) -> Iterator[Job]:
    """Give jobs page by page, as they are taken."""
    cursor = None
    while True:
        page = client.store.find(
            wanted,
            cursor=cursor,
            limit=min(limit, PAGE),
            order="run_at" if is_due else "created",
        )
        yield from page.jobs
        cursor = page.cursor
        if cursor is None:
            return


def _found(job: Job | None, job_id: str) -> Job:
    if job is None:
        raise JobNotFound(job_id)
    return job


def _show(client: Client, job: Job, output: Output) -> None:
    say_one(Catalogue(client.store).document(job), job_card.lines, output=output)


def _show_now(client: Client, job_id: str, output: Output) -> None:
    (job,) = client.store.get([job_id])
    _show(client, _found(job, job_id), output)


def _show_end(client: Client, job_id: str, wait_s: float, output: Output) -> None:
    job = _found(client.store.wait(job_id, wait_s), job_id)
    _show(client, job, output)
    if job.state not in TERMINAL:
        why = client.why_not_ended(job_id)
        say(f"it is still {job.state}{f': {why.summary}' if why else ''}", err=True)
        sys.exit(TIMED_OUT)
    if job.state is not State.COMPLETED:
        sys.exit(FAILED)
