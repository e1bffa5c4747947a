"""The commands on jobs that wait: change one, and have some run now."""

from collections.abc import Sequence
from typing import Any

import click

from taskyard.catalogue import Catalogue
from taskyard.cli import which_jobs
from taskyard.cli.actor import actor
from taskyard.cli.job_options import KWARGS, given
from taskyard.cli.output import OUTPUT, Output, say_one
from taskyard.cli.times import DURATION, FUTURE
from taskyard.cli.words import in_words
from taskyard.client import Client
from taskyard.config import load
from taskyard.job import rfc3339
from taskyard.operations import waiting


@click.command("run-now")
@click.argument("job_ids", nargs=-1, required=True)
@OUTPUT
def run_now(job_ids: Sequence[str], output: Output) -> None:
    """Make jobs that wait due at once; print what became of each."""
    by = actor(Client(load()))

    def due(job_id: str) -> tuple[str, str]:
        return "due", waiting.run_now(by, job_id).state

    which_jobs.each(job_ids, due, output=output)


@click.command()
@click.argument("job_id")
@click.argument("args", nargs=-1)
@KWARGS
@click.option(
    "--run-at", type=FUTURE, help="Run at this time: a time (UTC), or like 2h (from now)."
)
@click.option("--delay", "delay_s", type=DURATION, help="Run so long from now, such as 10m.")
@click.option("--priority", type=int, help="0 to 9, higher first.")
@OUTPUT
def change(
    job_id: str, args: Sequence[str], run_at: int | None, output: Output, **fields: Any
) -> None:
    """Change the job JOB_ID while it waits: its time, its priority, or its arguments.

    What is not named stays; of arguments all that are given by place (ARGS), or all by name (-k).
    """
    request = given(args, {**fields, "run_at": rfc3339(run_at)})
    client = Client(load())
    with in_words():
        job = waiting.change(actor(client), job_id, request)
    shown = Catalogue(client.store).document(job)
    due = f"  due={shown['run_at']}" if shown["run_at"] else ""
    say_one(
        shown, lambda _: [f"{job.id} changed  priority={shown['priority']}{due}"], output=output
    )
