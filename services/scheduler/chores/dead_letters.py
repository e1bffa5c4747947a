"""The chore that keeps RabbitMQ's dead-letter queues and the store's index of them the same."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from msgspec import Struct

from taskyard.config import Settings
from taskyard.dead_letters.message import index_entry
from taskyard.errors import TaskyardError
from taskyard.rabbitmq.dead_queue import Found, walk
from taskyard.rabbitmq.inspect import Depth, QueueDepths
from taskyard.rabbitmq.queue_move import moving_queue
from taskyard.rabbitmq.topology import INTAKE_QUEUE, dead_queue
from taskyard.runtime import per_queue
from taskyard.runtime.apart import Apart, all_or_each
from taskyard.runtime.keyed_hash import KeyedHash
from taskyard.store import JobStore
from taskyard.store.dead_letters import DeadLetter, DeadLetterFilter, Removal
from taskyard.telemetry.metrics import (
    DEAD_LETTER_REASONS,
    DEAD_LETTERS_BYTES,
    DEAD_LETTERS_FILL,
    DEAD_LETTERS_KEPT,
    DEAD_LETTERS_REMOVED,
    set_all,
)

logger = logging.getLogger(__name__)

#: Removals, and dead letters past their time, of one pass.
LIMIT = 10_000
PURGE_LIMIT = 500
#: Messages that are looked up in the index at a time.
INDEX_BATCH = 200
#: Entries of the index that are read, or forgotten, at a time.
INDEX_PAGE = 500
#: So many passes a queue must have had more messages than the index: fewer are letters on their way there.
ODD_PASSES = 5
#: So many passes it must have had fewer, and nobody who reads it: about a minute.
GONE_PASSES = 60
#: How long a queue rests after a walk, in times of what the walk took.
REST_FACTOR = 10.0


class _Odd(Struct, frozen=True):
    """A queue with more messages than the index knows, or with fewer."""

    found: int
    known: int
    is_there: bool


class KeepDeadLetters:
    """Removes the messages of dead letters that were replayed or purged, and indexes those that nobody has.

    Only this walks dead-letter queues. A queue is walked if something has to leave it, if it has more
    messages than the index knows of, or if it has had fewer for long: those that are gone leave the index.

    Args:
        store: Where the index is.
        depths: What counts the messages.
        settings: Where RabbitMQ is, and what is kept.
        rest_factor: A queue is walked again only after this many times as long as its last walk took.
        gone_passes: So many passes in a row a queue must have had too few messages.
    """

    def __init__(
        self,
        store: JobStore,
        depths: QueueDepths,
        settings: Settings,
        *,
        rest_factor: float = REST_FACTOR,
        gone_passes: int = GONE_PASSES,
    ) -> None:
        self._store = store
        self._depths = depths
        self._settings = settings
        self._rest_factor = rest_factor
        self._gone_passes = gone_passes
        self._apart = Apart("dead-letter queue", is_away=lambda: not depths.is_ready)
        self._ttl_s = per_queue.parse(settings.dead_letter_ttl)
        self._max = per_queue.parse(settings.dead_letter_max)
        self._max_bytes = per_queue.parse(settings.dead_letter_queue_bytes)
        #: When a queue may be walked again, and the counts that its last walk could not bring together.
        self._next_walk: dict[str, float] = {}
        self._odd: dict[str, _Odd] = {}
        self._more_passes: Counter[str] = Counter()
        self._fewer_passes: Counter[str] = Counter()

    def run_once(self) -> float | None:
        """Do what there is to do; return 0 if there may be more to purge.

        Raises:
            Unavailable: If store or RabbitMQ does not answer; what was not done is done by the next pass.
        """
        kept, gone = self._store.dead_counts()
        by_queue: dict[str, int] = dict.fromkeys(gone, 0)
        for (queue, _), count in kept.items():
            by_queue[queue] = by_queue.get(queue, 0) + count
        self._measure(kept, by_queue)
        full: list[str] = []  # which may have more to purge
        self._apart.each(by_queue, lambda queue: full.extend(self._expire(queue)), key=str)
        removals = self._store.removals(LIMIT)
        odd = self._odd_queues(by_queue, gone)

        def walk_one(queue: str) -> None:
            self._walk(queue, [each for each in removals if each.queue == queue], odd.get(queue))

        queues = sorted({removal.queue for removal in removals} | odd.keys())
        self._apart.each(queues, walk_one, key=lambda queue: f"walk of {queue}")
        return 0 if full else None

    def _measure(self, kept: dict[tuple[str, str], int], by_queue: dict[str, int]) -> None:
        by_reason: Counter[tuple[str, ...]] = Counter()
        for (queue, reason), count in kept.items():
            known = reason if reason in DEAD_LETTER_REASONS else "other"
            by_reason[queue, known] += count
        set_all(DEAD_LETTERS_KEPT, {key: float(n) for key, n in by_reason.items() if n})
        for queue in by_queue:
            DEAD_LETTERS_REMOVED.labels(queue)  # with 0: `increase()` does not see the first value
        sizes = self._store.dead_bytes()
        set_all(DEAD_LETTERS_BYTES, {(queue,): float(sizes.get(queue, 0)) for queue in by_queue})
        fill: dict[tuple[str, ...], float] = {
            (queue,): max(n / self._max.of(queue), sizes.get(queue, 0) / self._max_bytes.of(queue))
            for queue, n in by_queue.items()
        }
        set_all(DEAD_LETTERS_FILL, fill)

    def _expire(self, queue: str) -> list[str]:
        """Purge what is past its time or above the bound; return the queue if there may be more."""
        ids = self._store.overdue_dead(
            queue,
            ttl_ms=self._ttl_s.of(queue) * 1000,
            max_count=self._max.of(queue),
            max_bytes=self._max_bytes.of(queue),
            limit=PURGE_LIMIT,
        )
        if ids:
            purged = self._store.purge_dead(ids, keep_records=True)
            DEAD_LETTERS_REMOVED.labels(queue).inc(len(purged))
            facts = {"queue": queue, "dead_letters": len(purged)}
            logger.warning("dead letters removed by their limits", extra=facts)
        return [queue] if len(ids) == PURGE_LIMIT else []

    def _odd_queues(self, by_queue: Mapping[str, int], gone: Mapping[str, int]) -> dict[str, _Odd]:
        """Return queues that the index does not agree with, unless a walk could not change that."""
        queues = sorted({*by_queue, *self._store.queues(), INTAKE_QUEUE})
        depths = self._look(map(dead_queue, queues))
        odd: dict[str, _Odd] = {}
        for queue in queues:
            name, known = dead_queue(queue), by_queue.get(queue, 0) + gone.get(queue, 0)
            depth = depths.get(name)
            found = _Odd(depth.messages if depth else 0, known, is_there=depth is not None)
            is_told = name in depths and self._odd.get(queue) != found
            is_read = depth is not None and depth.consumers > 0
            _count(self._more_passes, queue, is_told and found.found > known)
            _count(self._fewer_passes, queue, is_told and found.found < known and not is_read)
            is_odd = self._more_passes[queue] >= ODD_PASSES or (
                self._fewer_passes[queue] >= self._gone_passes
            )
            if is_odd and self._is_due(queue):
                odd[queue] = found
        # What is being moved is in a queue beside it meanwhile.
        moving = self._look(moving_queue(dead_queue(queue)) for queue in odd)
        return {
            q: each for q, each in odd.items() if moving.get(moving_queue(dead_queue(q))) is None
        }

    def _look(self, names: Iterable[str]) -> dict[str, Depth | None]:
        return self._depths.look(names, deadline_s=self._settings.publish_deadline_s)

    def _is_due(self, queue: str) -> bool:
        return time.monotonic() >= self._next_walk.get(queue, 0.0)

    def _walk(self, queue: str, removals: Iterable[Removal], odd: _Odd | None) -> None:
        if not self._is_due(queue):
            return
        started = time.monotonic()
        are_gone = odd is not None and odd.found < odd.known
        missed = dict(self._indexed(queue)) if are_gone else {}
        visit = _Visit(self._store, queue, removals, missed, self._digest)
        try:
            is_nothing = odd is not None and not odd.is_there
            if is_nothing or self._visit(queue, visit) is not None:
                visit.finish()
                if odd is not None:
                    self._odd[queue] = odd
        finally:
            took_s = time.monotonic() - started
            self._next_walk[queue] = time.monotonic() + took_s * self._rest_factor
        logger.debug("dead letters walked", extra={"queue": queue, "duration_s": round(took_s, 3)})

    def _visit(self, queue: str, visit: "_Visit") -> int | None:
        return walk(
            self._settings.broker_url,
            queue,
            visit,
            whole_max_bytes=self._settings.dead_letter_max_bytes,
            tls=self._settings.tls,
        )

    @cached_property
    def _keyed(self) -> KeyedHash:
        return KeyedHash(self._store.secret)

    def _digest(self, body: bytes) -> str:
        return self._keyed.digest("dead letters", body)

    def _indexed(self, queue: str) -> Iterator[tuple[str, int]]:
        """Give the dead letters of a queue, with their times of death."""
        wanted, cursor = DeadLetterFilter(queue=queue), None
        while True:
            page, cursor = self._store.find_dead(wanted, INDEX_PAGE, cursor)
            yield from page
            if cursor is None:
                return


def _count(passes: Counter[str], queue: str, is_so: bool) -> None:
    passes[queue] = passes[queue] + 1 if is_so else 0


class _Visit:
    """One walk: says which messages go, indexes those that are not known, and forgets those that are gone.

    Args:
        store: Where the index is.
        queue: The work queue.
        removals: What has to leave it.
        missed: Dead letters to be forgotten unless their messages are met: their times of death by id.
        digest: Makes ids of messages without one.
    """

    def __init__(
        self,
        store: JobStore,
        queue: str,
        removals: Iterable[Removal],
        missed: dict[str, int],
        digest: Callable[[bytes], str],
    ) -> None:
        self._store = store
        self._queue = queue
        self._removals = {removal.id: removal for removal in removals}
        self._missed = missed
        self._make_digest = digest
        #: How many messages have come so far that nothing tells apart.
        self._copies: Counter[bytes] = Counter()
        self._batch: list[tuple[DeadLetter, str]] = []

    def __call__(self, found: Found) -> bool:
        """Return whether the message goes."""
        entry = index_entry(
            self._queue,
            found.body,
            found.headers,
            id=found.id,
            task=found.task,
            priority=found.priority,
            digest=self._digest,
        )
        self._missed.pop(entry[0].id, None)
        removal = self._removals.get(entry[0].id)
        if removal is not None and entry[0].attempts <= removal.attempts:
            return True
        self._batch.append(entry)
        if len(self._batch) == INDEX_BATCH:
            self._index()
        return False

    def _digest(self, content: bytes) -> str:
        """Return an id for what has none; of several that are the same, each has one by its place."""
        self._copies[content] += 1
        place = self._copies[content]
        return self._make_digest(content if place == 1 else b"%b %d" % (content, place))

    def finish(self) -> None:
        """Conclude a walk that has seen every message: what had to go is gone."""
        self._index()
        self._store.removed(list(self._removals.values()))
        missed = list(self._missed.items())
        forgotten = sum(
            self._store.forget_dead(self._queue, missed[start : start + INDEX_PAGE])
            for start in range(0, len(missed), INDEX_PAGE)
        )
        if forgotten:
            facts = {"queue": self._queue, "dead_letters": forgotten}
            logger.warning("dead letters are gone from their queue: forgotten", extra=facts)

    def _index(self) -> None:
        batch, self._batch = self._batch, []
        count = 0
        for (entry, _), found in zip(batch, all_or_each(batch, self._enter), strict=True):
            if isinstance(found, TaskyardError):
                facts = {"dead_letter_id": entry.id, "queue": self._queue}
                logger.error("dead letter is not indexed: %s", found, extra=facts)
            else:
                count += found
        if count:
            facts = {"queue": self._queue, "dead_letters": str(count)}
            logger.info("dead letters indexed", extra=facts)

    def _enter(self, batch: Sequence[tuple[DeadLetter, str]]) -> list[bool]:
        """Index those that are not known; return which these are."""
        unknown = set(self._store.unindexed([(entry.id, entry.attempts) for entry, _ in batch]))
        self._store.index_dead_letters(
            [(entry, body) for entry, body in batch if entry.id in unknown]
        )
        return [entry.id in unknown for entry, _ in batch]
