"""`taskyard explain`: why a job is not running, or where its time went, for people and for programs."""

from collections.abc import Iterator
from typing import Any

import click

from taskyard.cli.output import say, say_json
from taskyard.client import Client
from taskyard.config import load


@click.command()
@click.argument("job_id")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def explain(job_id: str, as_json: bool) -> None:
    """Say why a job is not running, or where its time went."""
    client = Client(load())
    try:
        found = client.explain(job_id)
    finally:
        client.close()
    if as_json:
        say_json(found, indent=2)
    for line in () if as_json else _lines(found):
        say(line)


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
