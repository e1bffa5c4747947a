"""The commands that look at jobs: the state of one, why it is so, or a list."""

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from operator import itemgetter
from typing import Any

import click

from taskyard.catalogue import Catalogue
from taskyard.cli import which_jobs
from taskyard.cli.job_card import show_end, show_now
from taskyard.cli.output import OUTPUT, Output, first_line, say_list, say_one
from taskyard.cli.table import Column
from taskyard.cli.times import DURATION
from taskyard.client import Client
from taskyard.config import load
from taskyard.job import WAITING, Job, State
from taskyard.store.finding import Filter

#: Jobs that are read at a time.
PAGE = 200


@click.command()
@click.argument("job_id")
@click.option("--wait", type=DURATION, help="Wait so long for its end, such as 30s.")
@OUTPUT
def status(job_id: str, wait: float | None, output: Output) -> None:
    """Show a job. With --wait the exit code tells how it ended: 0 completed, 1 not, 124 not yet."""
    client = Client(load())
    if wait is not None:
        show_end(client, job_id, wait, output)
    else:
        show_now(client, job_id, output)


@click.command()
@click.argument("job_id")
@OUTPUT
def explain(job_id: str, output: Output) -> None:
    """Say why a job is not running, or where its time went."""
    client = Client(load())
    try:
        found = client.explain(job_id)
    finally:
        client.close()
    say_one(found, _explain_lines, output=output)


def _explain_lines(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['id']}  {found['state']}  {found['task']}  queue={found['queue']}"
    for each in found["findings"]:
        mark = "!" if each["needs_action"] else "-"
        yield f"{mark} {each['summary']}  [{each['code']}]"
    total_s = found["times"]["total_s"]
    yield f"{total_s:.3f} s in all:"
    for each in found["timeline"]:
        attempt = f" (attempt {each['attempt']})" if each["attempt"] else ""
        name = f"{each['phase']}{attempt}"
        yield f"  {each['from']}  {each['duration_s']:>10.3f} s  {name:<22}  {each['meaning']}"


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
