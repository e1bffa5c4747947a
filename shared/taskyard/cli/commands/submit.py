"""`taskyard submit`: hand over a job."""

from collections.abc import Sequence
from typing import Any

import click

from taskyard.catalogue import Catalogue
from taskyard.cli.exits import broken_off
from taskyard.cli.job_card import show_end, show_now
from taskyard.cli.job_options import given, job_options
from taskyard.cli.output import OUTPUT, Output, say
from taskyard.cli.times import DURATION, FUTURE
from taskyard.cli.words import in_words
from taskyard.client import Client
from taskyard.config import load
from taskyard.job import rfc3339
from taskyard.job_creation import new_job


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
    submission = {"task": task, **given(args, {**fields, "run_at": rfc3339(run_at)})}
    client = Client(load())
    with in_words():
        request, defaults = Catalogue(client.store).check(submission)
        job = new_job(
            request, defaults, origin="cli", payload_max_bytes=client.settings.payload_max_bytes
        )
    created = client.dispatcher.submit(job)
    with broken_off(f"{created.id} is submitted, and goes on"):
        client.close()
        if not created.is_new:
            say(f"{created.id} was there already: nothing was submitted", err=True)
        if wait is not None:
            show_end(client, created.id, wait, output)
        elif output == "json":
            show_now(client, created.id, output)
        else:
            say(created.id)
