"""The judge: every promise is a check by name, and yields a finding for each breach of it."""

from tests.nemesis.checks import books, ends, limits, runs
from tests.nemesis.checks.registry import CHECKS, Check, Finding, judge

__all__ = ["CHECKS", "Check", "Finding", "books", "ends", "judge", "limits", "runs"]
