"""Changes of waiting jobs on Redis."""

from typing import Any, Literal

import msgspec

from taskyard.errors import StoreFault, StoreUnavailable
from taskyard.message import revise
from taskyard.store.jobs import Change, Changed
from taskyard.store.redis.scripts import RedisScripts, guarded

#: Others may change the same job at the same time; each try loses to one of them.
TRIES = 20


class RedisWaiting(RedisScripts):
    """Rewrites a job's message, if it is still the one that was read."""

    @guarded
    def change(self, job_id: str, change: Change) -> Changed:
        for _ in range(TRIES):
            body: Any = self._redis.hget(f"{self._prefix}j:{job_id}", "body")
            if body is None:
                return Changed("unknown", "")
            try:
                old = body.decode()
                new = revise(old, priority=change.priority, args=change.args, kwargs=change.kwargs)
            except (msgspec.MsgspecError, ValueError, LookupError, TypeError) as error:
                text = f"job {job_id!r} cannot be changed: its record is damaged: {error}"
                raise StoreFault(text) from error
            asked = (job_id, old, new, change.priority, change.run_at_ms, change.delay_ms)
            verdict, state = self.run("change", asked, tuple[_Verdict, str])
            if verdict != "again":
                return Changed(verdict, state)
        raise StoreUnavailable(f"job {job_id!r} is being changed by too many at once")


_Verdict = Literal["changed", "too_late", "unknown", "again"]
