"""Where checks are entered: each is one promise, and yields what breaks it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tests.nemesis.evidence import Evidence


@dataclass(frozen=True)
class Finding:
    """One breach of a promise."""

    #: The job that it is about; empty if it is about more.
    job_id: str
    what: str


Check = Callable[[Evidence], Iterable[Finding]]

CHECKS: dict[str, Check] = {}

#: Checks of which nothing is excused by a store's loss of memory.
NO_EXCUSE = frozenset({"stuck", "refused_but_open", "unlisted", "limit_exceeded"})


def check(function: Check) -> Check:
    """Enter a check under its function's name, which says what was found."""
    CHECKS[function.__name__] = function
    return function


def judge(evidence: Evidence) -> dict[str, list[Finding]]:
    """Return what each check has found; checks that found nothing are left out.

    A store that forgot a moment is excused for what it was told then; what it still knows has to end.
    """
    found = {name: list(_findings(name, evidence)) for name in CHECKS}
    return {name: findings for name, findings in found.items() if findings}


def _findings(name: str, evidence: Evidence) -> Iterator[Finding]:
    for finding in CHECKS[name](evidence):
        if name in NO_EXCUSE or not evidence.may_be_forgotten(finding.job_id):
            yield finding
