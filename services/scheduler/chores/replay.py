"""The chore that runs replays: so many dead letters at a time as their rates allow."""

import logging
from collections.abc import Sequence

import msgspec

from taskyard.dispatcher import Dispatcher
from taskyard.errors import TaskyardError
from taskyard.operations.retry import retry_jobs
from taskyard.runtime.apart import Apart, all_or_each
from taskyard.store.dead_letters import RetryResult
from taskyard.store.replays import ReplayBatch

logger = logging.getLogger(__name__)

#: Jobs of one pass; a full pass is followed by the next at once.
LIMIT = 200
#: Pause between the batches of a replay, in seconds: its rate is kept on the average.
STEP_S = 0.1
#: How long a batch is this scheduler's; then another takes what it has not done. Seconds.
LEASE_S = 5.0


class RunReplays:
    """Brings back the jobs of running replays.

    Args:
        dispatcher: Where the jobs are, and how they are published.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._apart = Apart("replay", is_away=lambda: not dispatcher.publisher.is_ready)

    def run_once(self) -> float | None:
        """Replay one batch of each replay; return the seconds until the next, or None if no replay goes on.

        Nothing is taken while RabbitMQ is away.
        """
        if not self._dispatcher.publisher.is_ready:
            return None
        batches, is_active = self._dispatcher.store.take_replays(LIMIT, round(LEASE_S * 1000))
        self._apart.each(batches, self._replay, key=lambda batch: str(batch.replay_id))
        if any(len(batch.ids) == LIMIT for batch in batches):
            return 0
        return STEP_S if is_active else None

    def _replay(self, batch: ReplayBatch) -> None:
        """Bring back the jobs of a batch; one at whose record the store fails rests."""
        edit = msgspec.json.decode(batch.edit) if batch.edit else None

        def bring_back(ids: Sequence[str]) -> list[RetryResult]:
            return retry_jobs(self._dispatcher, ids, replay_id=batch.replay_id, edit=edit)

        ids = [job_id for job_id in batch.ids if not self._apart.rests(f"job {job_id}")]
        count = 0
        for job_id, answer in zip(ids, all_or_each(ids, bring_back), strict=True):
            if isinstance(answer, TaskyardError):
                self._apart.failed(f"job {job_id}", answer)
            else:
                self._apart.went_well(f"job {job_id}")
                count += answer.verdict == "retried"
        if count:
            logger.info("jobs replayed", extra={"replay_id": batch.replay_id, "jobs": count})
