"""What to do when the store fails at a batch: the one item at fault is found and rests, the others go on."""

import logging
from typing import NamedTuple

from services.worker.attempts.admission import Admission, Candidates
from services.worker.attempts.aside import Aside
from services.worker.attempts.registry import AttemptRegistry
from services.worker.attempts.settler import Entries, Settler
from services.worker.consuming.inbox import Delivery
from services.worker.consuming.source import Source
from taskyard.errors import StoreFault, Unstorable
from taskyard.store.attempts import Settled, Verdict

logger = logging.getLogger(__name__)


class Answers(NamedTuple):
    """What a round told the store and asked of it, with an answer for each item."""

    ended: Entries
    settled: list[Settled]
    candidates: Candidates
    verdicts: list[Verdict]


class Isolation:
    """Has the items of a batch that failed come alone, and puts aside what fails alone.

    Args:
        consumer: Where deliveries come from.
        registry: Counts what is taken.
        settler: Has the outcomes.
        admission: Refuses messages.
    """

    def __init__(
        self,
        *,
        consumer: Source,
        registry: AttemptRegistry,
        settler: Settler,
        admission: Admission,
    ) -> None:
        self._consumer = consumer
        self._registry = registry
        self._settler = settler
        self._admission = admission
        self._aside = Aside()
        #: Outcomes and deliveries of a batch that failed, among which one is at fault: each comes alone.
        self._to_come_alone = 0

    @property
    def is_due(self) -> bool:
        """Whether the next round is about one item alone."""
        return self._to_come_alone > 0 or self._aside.is_due

    def take_one(self, capacity: int) -> tuple[Entries, list[Delivery]]:
        """Return one outcome, or else one delivery if there is capacity for it; first what has rested."""
        rested = self._aside.take_end()
        ended = self._settler.take(1) if rested is None else [rested]
        deliveries = [] if ended else self._registry.reserve(capacity, self._take_delivery)
        self._to_come_alone = max(0, self._to_come_alone - len(ended) - len(deliveries))
        return ended, deliveries

    def _take_delivery(self, _: int) -> list[Delivery]:
        rested = self._aside.take_claim()
        return self._consumer.inbox.take(1) if rested is None else [rested]

    def put_back(self, ended: Entries, candidates: Candidates) -> None:
        """Return to their queues what the store could not be asked for."""
        self._settler.put_back(ended)
        for delivery, _ in candidates.values():
            self._consumer.inbox.put(delivery)

    def failed(self, ended: Entries, candidates: Candidates, error: Exception) -> None:
        """Have the items of a batch come alone, or put aside the one item that the store fails at."""
        count = len(ended) + len(candidates)
        if count > 1:
            logger.error("the store fails at one of a batch; each comes alone now: %s", error)
            self._to_come_alone = count
            self.put_back(ended, candidates)
        else:
            self._put_aside(ended, candidates, error)

    def _put_aside(self, ended: Entries, candidates: Candidates, error: Exception) -> None:
        """Deal with the one outcome or delivery that the store fails at, so that the others go on.

        Only what has no form in the store is the message's own fault, and a dead letter. All else may be
        that of a record, a script or a server: it rests, and is tried again.
        """
        for entry in ended:
            if isinstance(error, Unstorable):
                self._settler.fail(entry, error)
            else:
                self._aside.put_end(entry, error)
        for job_id, (delivery, _) in candidates.items():
            if isinstance(error, Unstorable):
                self._admission.refuse(delivery, "invalid", str(error))
            else:
                self._aside.put_claim(job_id, delivery, error)

    def without_faults(self, answers: Answers) -> Answers:
        """Put aside items whose records are damaged; return the others, which are well from now on."""
        ended, settled, candidates, verdicts = answers
        if "fault" in settled or any(each.kind == "fault" for each in verdicts):
            answers = self._part_from_faults(answers)
            ended, _, candidates, _ = answers
        if self._aside:
            self._aside.went_well(
                claims=list(candidates), ends=[outcome.id for outcome, _ in ended]
            )
        return answers

    def _part_from_faults(self, answers: Answers) -> Answers:
        ended, settled, candidates, verdicts = answers
        error = StoreFault("its record is damaged")
        for entry, answer in zip(ended, settled, strict=True):
            if answer == "fault":
                self._aside.put_end(entry, error)
        for (job_id, (delivery, _)), verdict in zip(candidates.items(), verdicts, strict=True):
            if verdict.kind == "fault" and delivery.channel is None:
                self._consumer.hand_back([delivery])  # a suspect rests in the store
            elif verdict.kind == "fault":
                self._aside.put_claim(job_id, delivery, error)
        well = [at for at, answer in enumerate(settled) if answer != "fault"]
        kinds = zip(candidates, verdicts, strict=True)
        return Answers(
            [ended[at] for at in well],
            [settled[at] for at in well],
            {job_id: candidates[job_id] for job_id, each in kinds if each.kind != "fault"},
            [each for each in verdicts if each.kind != "fault"],
        )

    def waiting_by_queue(self) -> dict[str, int]:
        """Return how many deliveries are here that are no attempts yet, by queue."""
        return self._aside.by_queue() + self._consumer.inbox.by_queue()

    def deliveries(self) -> list[Delivery]:
        """Return the deliveries that are held for what rests, outcomes among it."""
        return self._aside.held()

    def next_s(self) -> float | None:
        """Return the seconds after which something may be due; None: nothing rests."""
        return self._aside.next_s()

    def problems(self) -> list[str]:
        """Return what the store fails at, and for how long; empty if nothing."""
        return self._aside.problems()
