"""Where checks are entered: each is one promise, and yields what breaks it."""

from collections.abc import Callable, Iterable
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


def check(function: Check) -> Check:
    """Enter a check under its function's name, which says what was found."""
    CHECKS[function.__name__] = function
    return function


def judge(evidence: Evidence) -> dict[str, list[Finding]]:
    """Return what each check has found; checks that found nothing are left out."""
    found = {name: list(look(evidence)) for name, look in CHECKS.items()}
    return {name: findings for name, findings in found.items() if findings}
