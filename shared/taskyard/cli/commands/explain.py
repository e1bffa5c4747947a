"""`taskyard explain`: why a job is not running, or where its time went, for people and for programs."""

from collections.abc import Iterator
from typing import Any

import click

from taskyard.cli.output import OUTPUT, Output, say_one
from taskyard.client import Client
from taskyard.config import load


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
    say_one(found, _lines, output=output)


def _lines(found: dict[str, Any]) -> Iterator[str]:
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
