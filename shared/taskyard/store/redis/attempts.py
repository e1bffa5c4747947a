"""Claims, leases and outcomes on Redis."""

import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from taskyard.store.attempts import Beat, Claim, Lost, Outcome, Settled, Suspect, Verdict
from taskyard.store.redis.failures import guarded
from taskyard.store.redis.rows import row_of, rows_of, text_of
from taskyard.store.redis.scripts import RedisScripts

logger = logging.getLogger(__name__)


class RedisAttempts(RedisScripts):
    """The part of `RedisStore` that settles attempts and lets others start, in one script call."""

    @guarded
    def exchange(
        self,
        outcomes: Sequence[Outcome],
        owner: str,
        worker: str,
        claims: Sequence[Claim],
        *,
        call: int = 0,
    ) -> tuple[list[Settled], list[Verdict]]:
        args = (outcomes, owner, worker, self._keep_ms, claims, call)
        settled, verdicts, faults = self.run(
            "exchange", args, tuple[list[Settled], list[Verdict], list[tuple[str, str]]]
        )
        for job_id, text in faults:
            logger.error("record is damaged: %s", text, extra={"job_id": job_id})
        return settled, verdicts

    @guarded
    def progress(self, job_id: str, token: int, progress: str) -> bool:
        return self.run("progress", (job_id, token, progress), bool)

    @guarded
    def heartbeat(
        self,
        owner: str,
        info: dict[str, Any],
        lease_ms: int,
        running: Sequence[tuple[str, int]],
        *,
        over: int = 0,
    ) -> Beat:
        text = msgspec.json.encode(info).decode()
        args = (owner, text, lease_ms, running, over, self._keep_ms)
        return self.run("heartbeat", args, Beat)

    @guarded
    def end_lease(self, owner: str, exit_reason: str | None, *, is_own_death: bool = False) -> bool:
        reason = "" if exit_reason is None else exit_reason or "unknown"
        return self.run("end_lease", (owner, reason, is_own_death), bool)

    @guarded
    def lost(
        self, owner: str, lease_ms: int, limit: int, *, gap_ms: int | None = None
    ) -> list[Lost]:
        rows, broken = self.run(
            "lost",
            (owner, lease_ms, limit, gap_ms or 0),
            tuple[list[msgspec.Raw], list[msgspec.Raw]],
        )
        for job_id in broken:
            facts = {"job_id": text_of(job_id, errors="replace")}
            logger.error("record cannot be read, and is left", extra=facts)
        return rows_of(rows, Lost)

    @guarded
    def take_suspect(self, queues: Sequence[str], reserve_ms: int) -> Suspect | None:
        found = self.run("take_suspect", (queues, reserve_ms), list[msgspec.Raw])
        return row_of(found[0], Suspect) if found else None

    @guarded
    def suspects(self, queues: Sequence[str]) -> int:
        return self.run("suspects", (queues,), int)

    @guarded
    def forgive_outage(self, gap_ms: int, grace_ms: int) -> bool:
        return self.run("forgive_outage", (gap_ms, grace_ms), bool)
