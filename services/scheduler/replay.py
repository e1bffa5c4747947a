"""The chore that runs replays: so many dead letters at a time as their rates allow."""

import logging

import msgspec
from msgspec.structs import replace

from taskyard.apart import Apart
from taskyard.dispatcher import Dispatcher
from taskyard.errors import StoreFault, Unstorable
from taskyard.revival import revive
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
        """Bring back the jobs of a batch; one at whose record the store fails stays for a later try."""
        edit = msgspec.json.decode(batch.edit) if batch.edit else None
        count = 0
        try:
            answers = revive(self._dispatcher, batch.ids, replay_id=batch.replay_id, edit=edit)
            count = sum(answer.verdict == "retried" for answer in answers)
        except (StoreFault, Unstorable):
            if len(batch.ids) == 1:
                raise
            jobs = [replace(batch, ids=[job_id]) for job_id in batch.ids]
            self._apart.each(jobs, self._replay, key=lambda each: f"job {each.ids[0]}")
        if count:
            logger.info("jobs replayed", extra={"replay_id": batch.replay_id, "jobs": count})
