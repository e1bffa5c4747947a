"""`taskyard retry`: run ended jobs again, by their ids or all that fit a filter."""

import sys
from collections.abc import Sequence
from typing import Any

import click
from msgspec import structs

from taskyard.audit_log import job_facts
from taskyard.bulk import RETRYABLE, count_retryable, retry_found
from taskyard.cli.log import recording
from taskyard.cli.output import say
from taskyard.client import Client
from taskyard.config import load
from taskyard.revival import revive
from taskyard.store.dead_letters import Revived
from taskyard.store.finding import Filter

#: Jobs of one call.
STEP = 1000


@click.command()
@click.argument("job_ids", nargs=-1)
@click.option(
    "--state",
    multiple=True,
    type=click.Choice([s.value for s in RETRYABLE]),
    help="In this state; repeat.",
)
@click.option("--queue", default="", help="In this queue.")
@click.option("--task", default="", help="Of this task.")
@click.option("--tag", default="", help="With this tag.")
@click.option("--error", default="", help="A part of the latest error's type or message.")
@click.option("--dry-run", is_flag=True, help="Only count them.")
def retry(job_ids: Sequence[str], state: Sequence[str], dry_run: bool, **fields: Any) -> None:
    """Run failed, cancelled and expired jobs again: JOB_IDS, or all that fit the options."""
    wanted = Filter(states=tuple(state), **fields)
    if bool(job_ids) == (wanted != Filter()) or (job_ids and dry_run):
        raise click.UsageError("give ids, or options that say which jobs")
    client = Client(load())
    try:
        if job_ids:
            _retry_ids(client, job_ids)
        elif dry_run:
            found = count_retryable(client.store, wanted)
            say(f"{'' if found.is_complete else 'at least '}{found.count} to retry")
        else:
            _retry_found(client, wanted)
    finally:
        client.close()


def _retry_ids(client: Client, job_ids: Sequence[str]) -> None:
    answers = [_retry(client, job_id) for job_id in job_ids]
    for answer in answers:
        state = f" {answer.state}" if answer.state and answer.verdict != "retried" else ""
        holder = f": {answer.holder} lives" if answer.holder else ""
        say(f"{answer.id} {answer.verdict}{state}{holder}")
    if any(answer.verdict != "retried" for answer in answers):
        sys.exit(1)


def _retry(client: Client, job_id: str) -> Revived:
    (job,) = client.store.get([job_id])
    before = job_facts(job)
    with recording(client.store, client.settings, "job.retry", job_id, before=before) as entry:
        (answer,) = revive(client.dispatcher, [job_id], must_connect=True)
        entry.after = {"state": "pending"}
        if answer.verdict != "retried":
            entry.void()
    return answer


def _retry_found(client: Client, wanted: Filter) -> None:
    retried, cursor, is_complete = 0, None, False
    before = {"filter": {name: value for name, value in structs.asdict(wanted).items() if value}}
    with recording(client.store, client.settings, "jobs.retry", before=before) as entry:
        while not is_complete:
            done = retry_found(
                client.dispatcher, wanted, cursor=cursor, limit=STEP, must_connect=True
            )
            retried += done.retried
            cursor, is_complete = done.cursor, done.cursor is None
        entry.after = {"retried": retried}
        if not retried:
            entry.void()
    say(f"{retried} retried")
