"""The commands on jobs: hand them over, look at them, cancel them, hurry them."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any

import click

from taskyard.audit_log import difference, job_facts
from taskyard.catalogue import Catalogue
from taskyard.cli import job_card
from taskyard.cli.exits import FAILED, TIMED_OUT
from taskyard.cli.log import recording
from taskyard.cli.output import (
    OUTPUT,
    Output,
    first_line,
    say,
    say_answers,
    say_list,
    say_one,
    verdict_line,
)
from taskyard.cli.table import Column
from taskyard.client import Client
from taskyard.config import load
from taskyard.errors import JobNotFound
from taskyard.job import TERMINAL, WAITING, Job, State
from taskyard.request import new_job
from taskyard.store.base import Cancelled
from taskyard.store.finding import Filter
from taskyard.store.waiting import Change, Changed

#: Jobs that are read at a time.
PAGE = 200


@click.command()
@click.argument("task")
@click.argument("args", nargs=-1)
@click.option("--kwarg", "-k", multiple=True, metavar="NAME=VALUE", help="Keyword argument.")
@click.option("--queue", help="Queue. Default: the task's own.")
@click.option("--priority", type=int, help="0 to 9, higher first.")
@click.option("--delay", type=float, help="Run this many seconds from now.")
@click.option("--run-at", help="Run at this time, like 2026-11-24T10:00:00Z.")
@click.option("--max-retries", type=int, help="Retries if it fails.")
@click.option("--timeout", type=float, help="Time limit of each attempt, in seconds.")
@click.option("--tag", multiple=True, help="Word to find the job by.")
@click.option("--id", "job_id", help="Id of your choice: the same id twice is one job.")
@click.option("--wait", type=float, metavar="SECONDS", help="Wait for its end and show the job.")
@OUTPUT
def submit(
    task: str,
    args: Sequence[str],
    kwarg: Sequence[str],
    wait: float | None,
    output: Output,
    **options: Any,
) -> None:
    """Hand over a job of TASK with ARGS, each JSON or else a text; print its id."""
    asked = {
        "task": task,
        "args": [_value(arg) for arg in args],
        "kwargs": {name: _value(value) for name, _, value in (k.partition("=") for k in kwarg)},
        "queue": options["queue"],
        "priority": options["priority"],
        "delay_s": options["delay"],
        "run_at": options["run_at"],
        "max_retries": options["max_retries"],
        "timeout_s": options["timeout"],
        "tags": list(options["tag"]),
        "id": options["job_id"],
    }
    client = Client(load())
    request, defaults = Catalogue(client.store).check(
        {name: value for name, value in asked.items() if value is not None}
    )
    job = new_job(
        request, defaults, origin="cli", payload_max_bytes=client.settings.payload_max_bytes
    )
    job_id = client.dispatcher.submit(job).id
    client.close()
    if wait is not None:
        _show_end(client, job_id, wait, output)
    elif output == "json":
        _show_now(client, job_id, output)
    else:
        say(job_id)


@click.command()
@click.argument("job_id")
@click.option("--wait", type=float, metavar="SECONDS", help="Wait for its end.")
@OUTPUT
def status(job_id: str, wait: float | None, output: Output) -> None:
    """Show a job. With --wait the exit code tells how it ended: 0 completed, 1 not, 124 not yet."""
    client = Client(load())
    if wait is not None:
        _show_end(client, job_id, wait, output)
    else:
        _show_now(client, job_id, output)


@click.command()
@click.argument("job_ids", nargs=-1, required=True)
@OUTPUT
def cancel(job_ids: Sequence[str], output: Output) -> None:
    """Cancel jobs; print what became of each."""
    client = Client(load())
    answers = [_cancel(client, job_id) for job_id in job_ids]
    say_answers(
        [_answer(each.id, each.verdict, each.state) for each in answers],
        verdict_line,
        output=output,
    )
    if any(answer.verdict in ("too_late", "unknown") for answer in answers):
        sys.exit(FAILED)


def _cancel(client: Client, job_id: str) -> Cancelled:
    (job,) = client.store.get([job_id])
    with recording(
        client.store, client.settings, "job.cancel", job_id, before=job_facts(job)
    ) as entry:
        (answer,) = client.store.cancel([job_id], client.settings.result_ttl * 1000)
        entry.after = {"verdict": answer.verdict}
        if answer.verdict not in ("cancelled", "requested"):
            entry.void()
    return answer


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
@click.option(
    "--state",
    multiple=True,
    type=click.Choice([s.value for s in State]),
    help="In this state; repeat.",
)
@click.option("--queue", default="", help="In this queue.")
@click.option("--task", default="", help="Of this task.")
@click.option("--tag", default="", help="With this tag.")
@click.option("--origin", default="", help="That came through this door, such as api.")
@click.option("--error", default="", help="A part of the latest error's type or message.")
@click.option("--due", is_flag=True, help="Those that wait for a time, soonest first.")
@click.option("--limit", type=click.IntRange(1), default=20, help="How many at most. Default: 20.")
@OUTPUT
def jobs(state: Sequence[str], due: bool, limit: int, output: Output, **fields: Any) -> None:
    """List jobs, newest first."""
    client = Client(load())
    catalogue = Catalogue(client.store)
    found = _jobs(client, Filter(states=tuple(state), **fields), limit, is_due=due)
    say_list(
        map(catalogue.document, islice(found, limit)),
        _COLUMNS,
        output=output,
        empty="No job fits.",
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


@click.command("run-now")
@click.argument("job_ids", nargs=-1, required=True)
@OUTPUT
def run_now(job_ids: Sequence[str], output: Output) -> None:
    """Make jobs that wait due at once; print what became of each."""
    client = Client(load())
    answers = [_run_now(client, job_id) for job_id in job_ids]
    say_answers(
        [
            _answer(job_id, "due" if each.verdict == "changed" else each.verdict, each.state)
            for job_id, each in zip(job_ids, answers, strict=True)
        ],
        verdict_line,
        output=output,
    )
    if any(answer.verdict != "changed" for answer in answers):
        sys.exit(FAILED)


def _run_now(client: Client, job_id: str) -> Changed:
    (old,) = client.store.get([job_id])
    with recording(client.store, client.settings, "job.run_now", job_id) as entry:
        answer = client.store.change(job_id, Change(delay_ms=0))
        if answer.verdict == "changed":
            (job,) = client.store.get([job_id])
            entry.before, entry.after = difference(job_facts(old) or {}, job_facts(job) or {})
        else:
            entry.void()
    return answer


def _answer(job_id: str, verdict: str, state: str) -> dict[str, str | None]:
    return {"id": job_id, "verdict": verdict, "state": state or None}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


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
