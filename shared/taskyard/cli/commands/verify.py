"""`taskyard verify`: the report of the verification, for people and for programs."""

import sys
from operator import itemgetter
from typing import Any

import click
import msgspec

from taskyard.cli.actor import actor
from taskyard.cli.output import OUTPUT, Output, say_one, terminal_width
from taskyard.cli.table import Column, Table
from taskyard.client import Client
from taskyard.config import load
from taskyard.consistency.messages import settle_s
from taskyard.consistency.verification import Missing, Report, Verification
from taskyard.operations import jobs
from taskyard.rabbitmq.inspect import DepthReader

_FINDINGS = (
    Column("JOB", itemgetter("id")),
    Column("PROBLEM", itemgetter("problem")),
    Column("STATE", itemgetter("state"), kind="state"),
    Column("QUEUE", itemgetter("queue")),
    Column("REPAIRED", lambda each: "yes" if each["is_repaired"] else "no"),
)


@click.command()
@click.option("--repair", is_flag=True, help="Put right what was found: it is safe while jobs run.")
@OUTPUT
def verify(repair: bool, output: Output) -> None:
    """Account for every job; exit with 1 if one is not accounted for and was not repaired."""
    client = Client(load())
    try:
        peek = DepthReader(client.settings.broker_url, tls=client.settings.tls)
        older_than_s = settle_s(client.settings.heartbeat_s)
        verification = Verification(client.dispatcher, peek, older_than_s=older_than_s)
        report = jobs.repair(actor(client), verification) if repair else verification.run()
    finally:
        client.close()
    say_one(_document(report), lambda _: _lines(report), output=output)
    sys.exit(0 if report.is_fine else 1)


def _document(report: Report) -> dict[str, Any]:
    totals = report.totals
    ledger = msgspec.to_builtins(totals) | {"missing": totals.missing} if totals else None
    return {
        "is_fine": report.is_fine,
        "ledger": ledger,
        "records_checked": report.checked,
        "findings": [
            {
                "id": each.id,
                "queue": each.queue,
                "state": each.state or None,
                "problem": each.problem,
                "is_repaired": each.is_repaired,
            }
            for each in report.findings
        ],
        "missing_messages": [msgspec.to_builtins(each) for each in report.missing],
    }


def _lines(report: Report) -> list[str]:
    lines = _ledger(report)
    lines.append(f"records checked   {report.checked:>10}")
    if findings := _document(report)["findings"]:
        lines += Table(_FINDINGS, width=terminal_width()).lines(findings)
    for missing in report.missing:
        lines += _missing(missing)
    return [*lines, _verdict(report)]


def _verdict(report: Report) -> str:
    if not report.is_fine:
        return "NOT ALL JOBS ARE ACCOUNTED FOR"
    has_findings = report.findings or report.missing
    return "what was found is repaired" if has_findings else "every job is accounted for"


def _ledger(report: Report) -> list[str]:
    totals = report.totals
    if totals is None:
        return ["no job was ever accepted"]
    rows = [
        ("accepted", totals.accepted),
        *((f"  {state}", count) for state, count in totals.kept.items()),
        ("  pruned", totals.pruned),
        ("  withdrawn", totals.withdrawn),
        ("  missing", totals.missing),
    ]
    return [f"{name:<18}{count:>10}" for name, count in rows]


def _missing(missing: Missing) -> list[str]:
    repaired = "  repaired" if missing.is_repaired else ""
    messages = "1 message" if missing.messages == 1 else f"{missing.messages} messages"
    head = f"queue {missing.queue} lacks {messages}{_among(missing)}"
    jobs = [f"{job_id}  no_message  state=pending{repaired}" for job_id in missing.jobs]
    return [f"{head}:", *jobs] if jobs else [head]


def _among(missing: Missing) -> str:
    if not missing.jobs:
        return "; nothing tells of which jobs, and --repair publishes all of the queue again"
    if len(missing.jobs) < missing.messages:
        return f", of these {len(missing.jobs)} and others"
    return "" if len(missing.jobs) == missing.messages else f", among these {len(missing.jobs)}"
