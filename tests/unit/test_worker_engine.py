"""The engine's guard: one message that the store cannot take must not hold up the others."""

import json
from typing import Any

from services.worker.engine import Engine
from services.worker.inbox import Delivery, Inbox
from services.worker.settler import Settler
from taskyard.config import Settings
from taskyard.store.attempts import Verdict
from taskyard.task import Task
from taskyard.task_options import TaskOptions

#: Doubles stand in for most of what these are made of.
make_engine: Any = Engine
make_settler: Any = Settler
make_delivery: Any = Delivery


class Properties:
    """What the engine reads of AMQP's."""

    priority = 5
    message_id = type = headers = None


class Consumer:
    """An inbox, and what was acknowledged."""

    def __init__(self):
        self.inbox = Inbox(lambda: None)
        self.acked = []

    def ack(self, deliveries):
        self.acked += deliveries

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
        self.inbox.put(make_delivery("q", 1, json.dumps(body).encode(), Properties(), None))


class Burial:
    """What was buried."""

    def __init__(self):
        self.letters = []

    def bury(self, letter, reason, then):
        self.letters.append((json.loads(letter.body)["message_id"], reason))
        then()


class Slots:
    """What was started."""

    def __init__(self):
        self.started = []

    def run(self, attempts):
        self.started += [attempt.id for attempt in attempts]


class Store:
    """Chokes on one job, whatever else is asked for with it."""

    def exchange(self, outcomes, owner, worker, claims):
        if any(claim.id == "poison" for claim in claims):
            raise OverflowError("number too large")
        return [True] * len(outcomes), [Verdict("run", token=1) for _ in claims]


def test_a_message_that_the_store_cannot_take_is_buried_alone():
    """The batch it came in is tried one by one; all others run."""
    consumer, burial, slots = Consumer(), Burial(), Slots()
    parts: dict[str, Any] = {
        "consumer": consumer,
        "burial": burial,
        "tasks": {"job": Task(print, "job", TaskOptions(queue="q"))},
        "settings": Settings(),
        "owner": "w",
    }
    settler = make_settler(**parts, wake=lambda: None)
    engine = make_engine(**parts, store=Store(), slots=slots, settler=settler)
    for job_id in ("a", "poison", "b"):
        consumer.deliver(job_id)

    passes = 0
    while len(consumer.inbox) and passes < 10:
        passes += 1
        try:
            engine.run_once()
        except OverflowError:
            assert passes == 1

    assert set(slots.started) == {"a", "b"}
    assert burial.letters == [("poison", "invalid")]
    assert [json.loads(each.body)["message_id"] for each in consumer.acked] == ["poison"]
