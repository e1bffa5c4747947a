"""Claims, leases and outcomes on Redis."""

from collections.abc import Sequence
from typing import Any

import msgspec

from taskyard.store.attempts import Beat, Claim, Lost, Outcome, Settled, Verdict
from taskyard.store.redis.scripts import RedisScripts, guarded


class RedisAttempts(RedisScripts):
    """Tells what has ended and asks for what may begin in one script call."""

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
        return self.run("exchange", args, tuple[list[Settled], list[Verdict]])

    def claim(
        self, owner: str, worker: str, claims: Sequence[Claim], *, call: int = 0
    ) -> list[Verdict]:
        return self.exchange((), owner, worker, claims, call=call)[1]

    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        return [told == "accepted" for told in self.exchange(outcomes, "", "", ())[0]]

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
    def end_lease(self, owner: str, exit_reason: str) -> None:
        self.run("end_lease", (owner, exit_reason or "unknown"), bool)

    @guarded
    def leave(self, owner: str) -> None:
        self.run("end_lease", (owner, ""), bool)

    @guarded
    def lost(self, owner: str, lease_ms: int, limit: int) -> list[Lost]:
        return self.run("lost", (owner, lease_ms, limit), list[Lost])
