"""The commands that end jobs: cancel them, by ids or a filter, and remove the records of those that ended."""

from collections.abc import Sequence
from typing import Any

import click

from taskyard.cli import which_jobs
from taskyard.cli.commands.log import actor
from taskyard.cli.confirm import YES, confirm, count_of
from taskyard.cli.exits import half_way
from taskyard.cli.output import OUTPUT, Output, say_one
from taskyard.client import Client
from taskyard.config import load
from taskyard.operations import jobs
from taskyard.operations.actor import Actor
from taskyard.operations.bulk import LIVING, count_living
from taskyard.store.finding import Filter


@click.command()
@click.argument("job_ids", nargs=-1)
@which_jobs.job_filter(LIVING)
@click.option("--dry-run", is_flag=True, help="Only count them.")
@YES
@OUTPUT
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
    wanted = which_jobs.asked(client.store, wanted, count_living, "cancelled", is_sure=is_sure)
    _cancel_found(by, wanted, output)


def _cancel_found(by: Actor, wanted: Filter, output: Output) -> None:
    with half_way("cancelled"):
        done = jobs.cancel_found(by, wanted, told=which_jobs.told(wanted))
    numbers = {name: getattr(done, name) for name in ("cancelled", "requested", "too_late")}
    asked = f", {done.requested} that run asked to stop" if done.requested else ""
    say_one(
        {"dry_run": False, **numbers, "is_complete": True},
        lambda _: [f"{count_of(done.cancelled, 'job')} cancelled{asked}"],
        output=output,
    )


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
