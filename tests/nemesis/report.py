"""What is written of the rounds: a table with a row for each, and files with the evidence."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from tests.nemesis.checks import Finding
from tests.nemesis.checks.limits import logged_limit
from tests.nemesis.evidence import Evidence
from tests.nemesis.stack import Stack

COLUMNS = (
    "fault",
    "accepted",
    "refused",
    "unknown",
    "kept all the same",
    "ended",
    "ran twice",
    "recovery s",
    "longest stall s",
    "worst wait s",
    "drain s",
    "limit: counted/all",
    "replies twice",
    "findings",
)
#: Jobs of each kind of finding whose evidence is kept whole, and lines of log of each.
SHOWN = 4
LOG_LINES = 60

Verdict = Mapping[str, list[Finding]]


def head(versions: Mapping[str, str], *, seed: int, folder: Path) -> str:
    """Return the lines above the table."""
    servers = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"# Faults under load\n\n{servers}. Seed {seed}. Evidence in `{folder}`."


def table_head() -> str:
    """Return the first two lines of the table."""
    return f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|"


def row(name: str, evidence: Evidence, verdict: Verdict) -> str:
    """Return one round's line; nothing in it that depends on the machine's speed decides anything."""
    book, marks = evidence.book, evidence.marks
    verdicts = [each.verdict for each in book.submissions.values()]
    counted, whole = logged_limit(evidence)
    found = ", ".join(f"{check} {len(findings)}" for check, findings in verdict.items())
    cells = (
        name,
        verdicts.count("accepted"),
        verdicts.count("refused") + len(book.nameless),
        verdicts.count("unknown"),
        kept(evidence),
        ", ".join(f"{state} {count}" for state, count in sorted(evidence.states().items())),
        ran_twice(evidence),
        recovery_s(evidence),
        stall_s(evidence),
        worst_wait_s(evidence),
        f"{marks.drained_at - marks.load_over_at:.1f}",
        f"{counted}/{whole}",
        sum(count > 1 for count in book.ends_replied.values()),
        f"**{found}**" if found else "none",
    )
    return f"| {' | '.join(map(str, cells))} |"


def kept(evidence: Evidence) -> int:
    """Return how many jobs are there, or ran, though their submission had failed, which is allowed."""
    book = evidence.book
    ids = [each.job_id for each in book.submissions.values() if each.verdict != "accepted"]
    named = sum(bool(evidence.documents.get(each) or evidence.runs(each)) for each in ids)
    return named + len({each.number for each in evidence.executions} & set(book.nameless))


def ran_twice(evidence: Evidence) -> int:
    """Return how many jobs came to their end more than once, whatever explains it."""
    counts = (sum(each.returned for each in evidence.runs(i)) for i in evidence.documents)
    return sum(count > 1 for count in counts)


def recovery_s(evidence: Evidence) -> str:
    """Return how long after the fault the first job came to its end."""
    over_at = evidence.marks.fault_over_at
    after = [each - over_at for each in _ends(evidence) if each > over_at]
    return f"{after[0]:.1f}" if after else "-"


def stall_s(evidence: Evidence) -> str:
    """Return the longest time in which no job came to its end, under load."""
    began_at, over_at = evidence.marks.began_at, evidence.marks.load_over_at
    ends = _ends(evidence)
    spans = [b - a for a, b in zip([began_at, *ends], ends, strict=False) if a < over_at]
    return f"{max(spans):.1f}" if spans else "-"


def worst_wait_s(evidence: Evidence) -> str:
    """Return the longest time between the answer to a submission and the end of a job that takes no time."""
    waits = []
    for each in evidence.book.accepted():
        ends = [run.ended_at for run in evidence.runs(each.job_id) if run.returned]
        if each.task == "quick" and each.delay_s is None and ends:
            waits.append(min(filter(None, ends)) - each.answered_at)
    return f"{max(waits):.1f}" if waits else "-"


def _ends(evidence: Evidence) -> list[float]:
    return sorted(each.ended_at for each in evidence.executions if each.returned and each.ended_at)


def keep(folder: Path, name: str, evidence: Evidence, verdict: Verdict, stack: Stack) -> Path:
    """Write what was found and the evidence of it to a file; return its path."""
    found: dict[str, Any] = {
        check: [asdict(each) for each in findings] for check, findings in verdict.items()
    }
    shown = [each.job_id for findings in verdict.values() for each in findings[:SHOWN]]
    path = folder / f"{name}.json"
    whole = {
        "marks": asdict(evidence.marks),
        "found": found,
        "mishaps": evidence.mishaps,
        "notes": evidence.notes,
        "missed_events": evidence.book.missed_events,
        "consistency": msgspec.to_builtins(evidence.consistency),
        "deaths": {pid: asdict(each) for pid, each in evidence.witness.deaths.items()},
        "stills": [asdict(each) for each in evidence.witness.stills],
        "jobs": {
            job_id: _told_of(job_id, evidence, stack) for job_id in dict.fromkeys(shown) if job_id
        },
    }
    path.write_text(json.dumps(whole, indent=1, default=str))
    return path


def _told_of(job_id: str, evidence: Evidence, stack: Stack) -> dict[str, Any]:
    """Return all that is known of one job."""
    asked = evidence.book.submissions.get(job_id)
    return {
        "asked": None if asked is None else asdict(asked),
        "cancels": [asdict(each) for each in evidence.book.cancels if each.job_id == job_id],
        "document": evidence.documents.get(job_id),
        "executions": [asdict(each) for each in evidence.runs(job_id)],
        "explain": stack.tool("explain", job_id)[1],
        "log": _log_of(job_id, stack.folder),
    }


def _log_of(job_id: str, folder: Path) -> list[str]:
    """Return the lines that services have logged of a job."""
    lines = (
        f"{path.stem}: {line}"
        for path in sorted(folder.glob("*.log"))
        for line in path.read_text().splitlines()
        if job_id in line
    )
    return list(lines)[:LOG_LINES]


def memory(first: Mapping[str, int], last: Mapping[str, int]) -> str:
    """Return the line about a system's memory, when it had just started and in the end."""
    grown = (f"{name} {first[name]} to {mib}" for name, mib in last.items())
    return f"Memory of this system in MiB, first and last: {', '.join(grown)}."


def last_words(failing: Iterable[str]) -> str:
    """Return the line under the table."""
    names = ", ".join(failing)
    return f"FAILED: {names}" if names else "Every promise was kept."
