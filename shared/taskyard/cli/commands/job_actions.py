"""The commands on jobs by ids or a filter: cancel, retry, and remove the records of those that ended."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from taskyard.cli import which_jobs
from taskyard.cli.actor import actor
from taskyard.cli.confirm import YES, confirm, count_of
from taskyard.cli.exits import half_way
from taskyard.cli.output import OUTPUT, Output, say, say_one, verdict_line
from taskyard.client import Client
from taskyard.config import load
from taskyard.operations import jobs
from taskyard.operations.actor import Actor
from taskyard.operations.bulk import LIVING, RETRYABLE, count_living, count_retryable
from taskyard.store.finding import Filter


@click.command()
@which_jobs.by_ids_or_filter(LIVING)
def cancel(
    job_ids: Sequence[str], dry_run: bool, is_sure: bool, output: Output, **fields: Any
) -> None:
    """Cancel JOB_IDS, or all that fit the options; print what became of each.

    Those that run are asked to stop. Unless JOB_IDS are given, it says how many fit, and asks.
    """
    wanted = which_jobs.chosen(job_ids, fields, dry_run=dry_run)
    client = Client(load())
    by = actor(client)

    def cancelled(job_id: str) -> tuple[str, str]:
        answer = jobs.cancel(by, job_id)
        return answer.verdict, "" if answer.verdict == answer.state else answer.state

    if job_ids:
        which_jobs.each(job_ids, cancelled, output=output)
        return
    if dry_run:
        found = count_living(client.store, wanted)
        numbers = {"cancelled": 0, "requested": 0, "too_late": 0}
        which_jobs.say_dry_run(client.store, wanted, found, numbers, "cancelled", output=output)
        return
    wanted = which_jobs.confirmed(client.store, wanted, count_living, "cancelled", is_sure=is_sure)
    _cancel_found(by, wanted, output)


def _cancel_found(by: Actor, wanted: Filter, output: Output) -> None:
    with half_way("cancelled"):
        done = jobs.cancel_found(by, wanted)
    numbers = {name: getattr(done, name) for name in ("cancelled", "requested", "too_late")}
    running = f", {done.requested} that run asked to stop" if done.requested else ""
    say_one(
        {"dry_run": False, **numbers, "is_complete": True},
        lambda _: [f"{count_of(done.cancelled, 'job')} cancelled{running}"],
        output=output,
    )


@click.command()
@which_jobs.by_ids_or_filter(RETRYABLE)
def retry(
    job_ids: Sequence[str], dry_run: bool, is_sure: bool, output: Output, **fields: Any
) -> None:
    """Run failed, cancelled and expired jobs again: JOB_IDS, or all that fit the options.

    Unless JOB_IDS are given, it says how many fit, and asks.
    """
    wanted = which_jobs.chosen(job_ids, fields, dry_run=dry_run)
    client = Client(load())
    try:
        if job_ids:
            _retry_ids(client, job_ids, output)
            return
        if dry_run:
            found = count_retryable(client.store, wanted)
            numbers = {"retried": 0, "skipped": 0}
            which_jobs.say_dry_run(client.store, wanted, found, numbers, "retried", output=output)
            return
        wanted = which_jobs.confirmed(
            client.store, wanted, count_retryable, "retried", is_sure=is_sure
        )
        _retry_found(client, wanted, output)
    finally:
        client.close()


def _retry_ids(client: Client, job_ids: Sequence[str], output: Output) -> None:
    by, dispatcher = actor(client), client.dispatcher
    retried: list[str] = []

    def retry_one(job_id: str) -> tuple[str, str]:
        # Where RabbitMQ took nothing once, no other job waits for it.
        must_connect = not retried or dispatcher.publisher.is_ready
        jobs.retry(by, dispatcher, job_id, must_connect=must_connect)
        retried.append(job_id)
        return "retried", ""

    try:
        which_jobs.each(job_ids, retry_one, output=output, line=_retry_line, holder=None)
    finally:
        _say_if_away(client, is_any_retried=bool(retried))


def _retry_line(answer: Mapping[str, Any]) -> str:
    holder = f": {answer['holder']} lives" if answer["holder"] else ""
    return f"{verdict_line(answer)}{holder}"


def _retry_found(client: Client, wanted: Filter, output: Output) -> None:
    with half_way("retried"):
        done = jobs.retry_found(actor(client), client.dispatcher, wanted, must_connect=True)
    say_one(
        {"dry_run": False, "retried": done.retried, "skipped": done.skipped, "is_complete": True},
        lambda _: [f"{count_of(done.retried, 'job')} retried"],
        output=output,
    )
    _say_if_away(client, is_any_retried=bool(done.retried))


def _say_if_away(client: Client, *, is_any_retried: bool) -> None:
    """Say so where RabbitMQ took none of the jobs that were retried."""
    publisher = client.dispatcher.publisher
    if is_any_retried and not publisher.is_ready:
        say(f"RabbitMQ takes nothing ({publisher.state}): they run once it does", err=True)


@click.command()
@click.argument("job_ids", nargs=-1, required=True)
@YES
@OUTPUT
def remove(job_ids: Sequence[str], is_sure: bool, output: Output) -> None:
    """Remove the records of JOB_IDS, which have ended, for good; their dead letters stay."""
    by = actor(Client(load()))
    counted = count_of(len(set(job_ids)), "record")
    confirm(f"{counted} of jobs will be removed for good", is_sure=is_sure)

    def removed(job_id: str) -> tuple[str, str]:
        jobs.remove(by, job_id)
        return "removed", ""

    which_jobs.each(job_ids, removed, output=output)
