"""The executor's guard: one message that the store cannot take must not hold up the others."""

import json
from typing import Any

import pytest

from services.worker.attempts.executor import Executor
from services.worker.attempts.registry import AttemptRegistry
from services.worker.attempts.settler import Settler
from services.worker.consuming.inbox import Delivery, Inbox
from taskyard.config import Settings
from taskyard.errors import StoreFault, StoreUnavailable, Unstorable
from taskyard.store.attempts import Verdict
from taskyard.task import Task
from taskyard.task_options import TaskOptions
from tests.polling import poll
from tests.unit.worker.doubles import attempt

#: Doubles stand in for most of what these are made of.
make_executor: Any = Executor
make_settler: Any = Settler
make_delivery: Any = Delivery


class Properties:
    """What the engine reads of AMQP's."""

    priority = 5
    message_id = type = headers = None


class Channel:
    """Where deliveries come from."""

    is_open = True


class Consumer:
    """An inbox, and what was acknowledged."""

    def __init__(self):
        self.inbox = Inbox(lambda: None)
        self.acked = []

    def ack(self, deliveries):
        self.acked += deliveries

    def hand_back(self, deliveries):
        assert not deliveries

    def deliver(self, job_id):
        body = {
            "queue_name": "q",
            "actor_name": "job",
            "args": [],
            "kwargs": {},
            "options": {},
            "message_id": job_id,
            "message_timestamp": 1,
        }
        self.inbox.put(make_delivery("q", 1, json.dumps(body).encode(), Properties(), Channel()))


class PendingDeadLetters:
    """What was written."""

    def __init__(self):
        self.letters = []

    def write(self, letter, reason, delivery, then):
        self.letters.append((json.loads(letter.body)["message_id"], reason))
        then()


class Slots:
    """What was started."""

    def __init__(self):
        self.started = []

    def run(self, attempts):
        self.started += [attempt.id for attempt in attempts]


class Store:
    """Chokes on one job, whatever else is asked for or told with it; until it is mended."""

    def __init__(self, error=None):
        self.error = error
        self.told = []
        self.outcomes = []

    def exchange(self, outcomes, owner, worker, claims, *, call):
        if self.error and any(each.id == "poison" for each in (*outcomes, *claims)):
            raise self.error
        self.told += [outcome.id for outcome in outcomes]
        self.outcomes += outcomes
        verdicts = [Verdict("leased") if each.is_surplus else Verdict("run", 1) for each in claims]
        return ["accepted"] * len(outcomes), verdicts


def executor_with(consumer, dead_letters, slots, store):
    """Return an executor on doubles, and what is under way in it."""
    registry = AttemptRegistry()
    parts: dict[str, Any] = {
        "registry": registry,
        "dead_letters": dead_letters,
        "tasks": {"job": Task(print, "job", TaskOptions(queue="q"))},
        "settings": Settings(),
        "owner": "w",
        "wake": lambda: None,
    }
    settler = make_settler(**parts)
    parts |= {"consumer": consumer, "store": store, "slots": slots, "settler": settler}
    return make_executor(**parts), registry


def test_a_message_that_the_store_cannot_take_is_buried_alone():
    """The batch it came in is tried one by one; all others run."""
    consumer, dead_letters, slots = Consumer(), PendingDeadLetters(), Slots()
    executor, _ = executor_with(
        consumer, dead_letters, slots, Store(Unstorable("number too large"))
    )
    for job_id in ("a", "poison", "b"):
        consumer.deliver(job_id)

    poll(lambda: not executor.run_once() and not len(consumer.inbox))

    assert set(slots.started) == {"a", "b"}
    assert dead_letters.letters == [("poison", "invalid")]
    assert [json.loads(each.body)["message_id"] for each in consumer.acked] == ["poison"]


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_message_of_an_attempt_that_runs_here_is_a_duplicate(is_lost):
    """Unless that one has lost its job: then the message may be all that is left of it."""
    consumer, slots = Consumer(), Slots()
    executor, registry = executor_with(consumer, PendingDeadLetters(), slots, Store())
    running = attempt("job", job_id="a", token=7)
    registry.add(running)
    if is_lost:
        running.lose()
    consumer.deliver("a")

    executor.run_once()

    assert (slots.started, len(consumer.acked)) == ((["a"], 0) if is_lost else ([], 1))


@pytest.mark.parametrize("error", [StoreFault("a script failed"), KeyError("a bug")])
def test_a_message_that_the_store_fails_at_is_kept(error):
    """It may be the record's fault, or the script's: the others run, and it does once that is mended."""
    consumer, dead_letters, slots, store = Consumer(), PendingDeadLetters(), Slots(), Store(error)
    executor, _ = executor_with(consumer, dead_letters, slots, store)
    for job_id in ("a", "poison", "b"):
        consumer.deliver(job_id)

    poll(lambda: not executor.run_once() and not len(consumer.inbox))
    assert set(slots.started) == {"a", "b"}
    assert (dead_letters.letters, consumer.acked) == ([], [])
    assert "poison" in executor.isolation.problems()[0]
    assert executor.isolation.waiting_by_queue() == {
        "q": 1
    }  # or its message would be taken for a lost one

    store.error = None
    poll(lambda: executor.run_once() and "poison" in slots.started)
    assert (executor.isolation.problems(), executor.isolation.waiting_by_queue()) == ([], {})


class Damaged(Store):
    """Has a damaged record, and tells so of what is about it."""

    is_damaged = True

    def exchange(self, outcomes, owner, worker, claims, *, call):
        told, verdicts = super().exchange(outcomes, owner, worker, claims, call=call)
        for place, outcome in enumerate(outcomes):
            if outcome.id == "poison" and self.is_damaged:
                told[place] = "fault"
        for place, claim in enumerate(claims):
            if claim.id == "poison" and self.is_damaged:
                verdicts[place] = Verdict("fault")
        return told, verdicts


def test_what_is_about_a_damaged_record_is_kept():
    """A message and an outcome; what came with them goes its way, in the same call."""
    store, consumer, slots = Damaged(), Consumer(), Slots()
    executor, registry = executor_with(consumer, PendingDeadLetters(), slots, store)
    for job_id in ("a", "poison", "b"):
        consumer.deliver(job_id)
    executor.run_once()
    assert (set(slots.started), consumer.acked) == ({"a", "b"}, [])
    assert "poison" in executor.isolation.problems()[0]
    store.is_damaged = False
    poll(lambda: executor.run_once() and "poison" in slots.started)

    store.is_damaged = True
    for each in registry.unsettled():
        executor.decide(each)
    executor.run_once()
    assert (set(registry.by_job()), len(consumer.acked)) == ({"poison"}, 2)
    assert "poison" in executor.isolation.problems()[0]

    store.is_damaged = False
    poll(lambda: executor.run_once() and not registry.by_job())
    assert executor.isolation.problems() == []


def test_an_outcome_that_the_store_fails_at_is_kept():
    """Those that come with it and after it are told."""
    store, consumer = Store(), Consumer()
    executor, registry = executor_with(consumer, PendingDeadLetters(), Slots(), store)
    for job_id in ("a", "poison", "b"):
        consumer.deliver(job_id)
    executor.run_once()
    store.error = StoreFault("a script failed")

    for each in registry.unsettled():
        executor.decide(each)
    poll(lambda: not executor.run_once())
    assert set(store.told) == {"a", "b"}
    assert set(registry.by_job()) == {"poison"}
    assert "poison" in executor.isolation.problems()[0]

    store.error = None
    poll(lambda: executor.run_once() and "poison" in store.told)
    assert (registry.by_job(), executor.isolation.problems()) == ({}, [])


def test_an_outcome_without_a_form_in_the_store_is_a_failure():
    """The job does not stay running for ever."""
    store, consumer, dead_letters = Store(), Consumer(), PendingDeadLetters()
    executor, registry = executor_with(consumer, dead_letters, Slots(), store)
    consumer.deliver("poison")
    executor.run_once()
    store.error = Unstorable("number too large")
    for each in registry.unsettled():
        executor.decide(each)
    executor.run_once()

    store.error = None
    executor.run_once()
    (outcome,) = store.outcomes
    assert (outcome.kind, dead_letters.letters) == ("failed", [("poison", "result_not_json")])
    assert "number too large" in outcome.error


def test_a_store_that_is_away_puts_nothing_aside():
    """All waits together, as it was."""
    consumer, store = Consumer(), Store(StoreUnavailable("BUSY"))
    executor, _ = executor_with(consumer, PendingDeadLetters(), Slots(), store)
    consumer.deliver("poison")

    with pytest.raises(StoreUnavailable):
        executor.run_once()

    assert (len(consumer.inbox), executor.isolation.problems()) == (1, [])


class Watched(Store):
    """Notes the number of each call, and what an executor took to be over meanwhile."""

    def __init__(self):
        super().__init__()
        self.calls = []
        self.is_away = False
        self.executor: Any = None

    def exchange(self, outcomes, owner, worker, claims, *, call):
        self.calls.append((call, self.executor.over))
        if self.is_away:
            raise StoreUnavailable("no answer")
        return super().exchange(outcomes, owner, worker, claims, call=call)


def test_a_claim_call_is_over_when_what_it_granted_is_known_to_run():
    """Not before: a heartbeat that came in between would have it given back."""
    store, consumer = Watched(), Consumer()
    store.executor, registry = executor_with(consumer, PendingDeadLetters(), Slots(), store)
    seen = []

    for job_id in ("a", "b"):
        consumer.deliver(job_id)
        store.executor.run_once()
        seen.append((store.executor.over, set(registry.by_job())))

    assert store.calls == [(1, 0), (2, 1)]
    assert seen == [(1, {"a"}), (2, {"a", "b"})]


def test_a_claim_call_that_is_not_answered_is_over():
    """The delivery is asked for again, by a call of another number."""
    store, consumer = Watched(), Consumer()
    store.executor, registry = executor_with(consumer, PendingDeadLetters(), Slots(), store)
    consumer.deliver("a")
    store.is_away = True

    with pytest.raises(StoreUnavailable):
        store.executor.run_once()

    assert (store.executor.over, len(consumer.inbox), registry.by_job()) == (1, 1, {})
    store.is_away = False
    store.executor.run_once()
    assert store.calls == [(1, 0), (2, 1)]
    assert set(registry.by_job()) == {"a"}
