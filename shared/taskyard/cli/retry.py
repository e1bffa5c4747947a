"""`taskyard retry`: run ended jobs again, by their ids or all that fit a filter."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click
from msgspec import structs

from taskyard.audit_log import job_facts
from taskyard.bulk import RETRYABLE, count_retryable, retry_found
from taskyard.cli.log import recording
from taskyard.cli.output import OUTPUT, Output, say_answers, say_one, verdict_line
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
@OUTPUT
def retry(
    job_ids: Sequence[str], state: Sequence[str], dry_run: bool, output: Output, **fields: Any
) -> None:
    """Run failed, cancelled and expired jobs again: JOB_IDS, or all that fit the options."""
    wanted = Filter(states=tuple(state), **fields)
    if bool(job_ids) == (wanted != Filter()) or (job_ids and dry_run):
        raise click.UsageError("give ids, or options that say which jobs")
    client = Client(load())
    try:
        if job_ids:
            _retry_ids(client, job_ids, output)
        elif dry_run:
            found = count_retryable(client.store, wanted)
            least = "" if found.is_complete else "at least "
            numbers = {"dry_run": True, "matching": found.count, "retried": 0, "skipped": 0}
            say_one(
                numbers | {"is_complete": found.is_complete},
                lambda told: [f"{least}{told['matching']} to retry"],
                output=output,
            )
        else:
            _retry_found(client, wanted, output)
    finally:
        client.close()


def _retry_ids(client: Client, job_ids: Sequence[str], output: Output) -> None:
    answers = [_retry(client, job_id) for job_id in job_ids]
    say_answers(
        [
            {
                "id": each.id,
                "verdict": each.verdict,
                "state": None if each.verdict == "retried" else each.state or None,
                "holder": each.holder or None,
            }
            for each in answers
        ],
        _line,
        output=output,
    )
    if any(answer.verdict != "retried" for answer in answers):
        sys.exit(1)


def _line(answer: Mapping[str, Any]) -> str:
    holder = f": {answer['holder']} lives" if answer["holder"] else ""
    return f"{verdict_line(answer)}{holder}"


def _retry(client: Client, job_id: str) -> Revived:
    (job,) = client.store.get([job_id])
    before = job_facts(job)
    with recording(client.store, client.settings, "job.retry", job_id, before=before) as entry:
        (answer,) = revive(client.dispatcher, [job_id], must_connect=True)
        entry.after = {"state": "pending"}
        if answer.verdict != "retried":
            entry.void()
    return answer


def _retry_found(client: Client, wanted: Filter, output: Output) -> None:
    retried, skipped, cursor, is_complete = 0, 0, None, False
    before = {"filter": {name: value for name, value in structs.asdict(wanted).items() if value}}
    with recording(client.store, client.settings, "jobs.retry", before=before) as entry:
        while not is_complete:
            done = retry_found(
                client.dispatcher, wanted, cursor=cursor, limit=STEP, must_connect=True
            )
            retried += done.retried
            skipped += done.skipped
            cursor, is_complete = done.cursor, done.cursor is None
        entry.after = {"retried": retried}
        if not retried:
            entry.void()
    say_one(
        {"dry_run": False, "retried": retried, "skipped": skipped, "is_complete": True},
        lambda told: [f"{told['retried']} retried"],
        output=output,
    )
