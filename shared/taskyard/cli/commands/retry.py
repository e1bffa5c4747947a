"""`taskyard retry`: run ended jobs again, by their ids or all that fit a filter."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from taskyard.cli import which_jobs
from taskyard.cli.commands.log import recording
from taskyard.cli.confirm import YES, count_of
from taskyard.cli.exits import FAILED, NOT_FOUND, half_way
from taskyard.cli.output import OUTPUT, Output, say, say_answers, say_one, verdict_line
from taskyard.client import Client
from taskyard.config import load
from taskyard.errors import JobNotFound
from taskyard.operations.audit_log import job_facts
from taskyard.operations.bulk import RETRYABLE, count_retryable, retry_found
from taskyard.operations.retry import revive
from taskyard.store.dead_letters import Revived
from taskyard.store.finding import Filter

#: Jobs of one call.
STEP = 1000


@click.command()
@click.argument("job_ids", nargs=-1)
@which_jobs.job_filter(RETRYABLE)
@click.option("--dry-run", is_flag=True, help="Only count them.")
@YES
@OUTPUT
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
        else:
            wanted = which_jobs.asked(
                client.store, wanted, count_retryable, "retried", is_sure=is_sure
            )
            with half_way("retried"):
                _retry_found(client, wanted, output)
    finally:
        client.close()


def _retry_ids(client: Client, job_ids: Sequence[str], output: Output) -> None:
    answers: list[Revived] = []
    for job_id in dict.fromkeys(job_ids):
        answers.append(_retry(client, job_id, must_connect=not _is_away(client, answers)))
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
    if _is_away(client, answers):
        _say_away(client)
    for each in answers:
        if each.verdict == "unknown":
            say(str(JobNotFound(each.id)), err=True)
    wrong = {answer.verdict for answer in answers} - {"retried"}
    if wrong:
        sys.exit(NOT_FOUND if wrong == {"unknown"} else FAILED)


def _is_away(client: Client, answers: Sequence[Revived]) -> bool:
    """Return whether RabbitMQ did not take what was retried: nothing waits for it once more."""
    has_tried = any(answer.verdict == "retried" for answer in answers)
    return has_tried and not client.dispatcher.publisher.is_ready


def _say_away(client: Client) -> None:
    state = client.dispatcher.publisher.state
    say(f"RabbitMQ takes nothing ({state}): they run once it does", err=True)


def _line(answer: Mapping[str, Any]) -> str:
    holder = f": {answer['holder']} lives" if answer["holder"] else ""
    return f"{verdict_line(answer)}{holder}"


def _retry(client: Client, job_id: str, *, must_connect: bool) -> Revived:
    (job,) = client.store.get([job_id])
    before = job_facts(job)
    with recording(client.store, client.settings, "job.retry", job_id, before=before) as entry:
        (answer,) = revive(client.dispatcher, [job_id], must_connect=must_connect)
        entry.after = {"state": "pending"}
        if answer.verdict != "retried":
            entry.void()
    return answer


def _retry_found(client: Client, wanted: Filter, output: Output) -> None:
    retried, skipped, cursor, is_complete = 0, 0, None, False
    told = which_jobs.told(wanted)
    publisher = client.dispatcher.publisher
    with recording(client.store, client.settings, "jobs.retry", before=told) as entry:
        while not is_complete:
            done = retry_found(
                client.dispatcher,
                wanted,
                cursor=cursor,
                limit=STEP,
                must_connect=not retried or publisher.is_ready,
            )
            retried += done.retried
            skipped += done.skipped
            cursor, is_complete = done.cursor, done.cursor is None
        entry.after = {"retried": retried}
        if not retried:
            entry.void()
    say_one(
        {"dry_run": False, "retried": retried, "skipped": skipped, "is_complete": True},
        lambda _: [f"{count_of(retried, 'job')} retried"],
        output=output,
    )
    if retried and not publisher.is_ready:
        _say_away(client)
