"""Whatever a message is made of, reading it gives a job, or a reason why there is none."""

import json
import random
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from pika import spec

from services.scheduler.intake import submissions
from services.scheduler.intake.received import ReceivedSubmission, received
from services.worker.attempts.admission import Admission
from services.worker.attempts.adoption import Adopter, Adoption
from services.worker.attempts.registry import AttemptRegistry
from services.worker.consuming.inbox import Delivery
from taskyard import config
from taskyard.catalogue import Catalogue, describe
from taskyard.dead_letters.message import dead_letter, index_entry, indexed
from taskyard.errors import InvalidSubmission
from taskyard.job_creation import Defaults
from taskyard.message import new_id
from taskyard.rabbitmq import frames
from taskyard.rabbitmq.outgoing import Outgoing, amqp_properties, check_texts
from taskyard.rabbitmq.topology import SUBMIT_EXCHANGE
from taskyard.store.attempts import Verdict
from taskyard.submission import refusal
from taskyard.task import task
from tests import fuzz

SETTINGS = config.Settings(payload_max_bytes=20_000)
EXAMPLES = settings(max_examples=400, deadline=None)
#: Chance that shrinks to nothing and is the same at each run of an example.
chance = st.randoms(use_true_random=False)


@task(name="fuzzed", queue="q", priority=5)
def add(a: int, b: float = 1, *more: str, flag: bool = False, **others: list[int]) -> None:
    """A task that takes something of each kind."""


SUBMISSION: dict[str, Any] = {
    "task": "fuzzed",
    "args": [1, 2.5],
    "kwargs": {"flag": True},
    "tags": [],
}
MESSAGE: dict[str, Any] = {
    "queue_name": "q",
    "actor_name": "fuzzed",
    "args": [1],
    "kwargs": {},
    "options": {"priority": 3},
    "message_id": "id-1",
    "message_timestamp": 1,
}


class Store:
    """Knows one task and no job."""

    def __init__(self) -> None:
        self.created: list[Any] = []

    def tasks(self) -> list[dict[str, Any]]:
        defaults = Defaults(queue="q", priority=5, max_retries=1, timeout_s=1)
        return [describe(add, defaults)]

    def queues(self) -> list[str]:
        return ["q"]

    def create(self, jobs: list[Any]) -> list[Any]:
        self.created += jobs
        return jobs

    def claim(self, _worker: str, _lease: str, claims: list[Any], *, call: int) -> list[Verdict]:
        return [Verdict("run") for _ in claims]


class Consumer:
    """An inbox, and what is buried."""

    def __init__(self) -> None:
        self.inbox = self
        self.waiting: list[Delivery] = []
        self.letters: list[Outgoing] = []

    def put(self, delivery: Delivery) -> None:
        self.waiting.append(delivery)

    def write(self, letter: Outgoing, _reason: str, _delivery: Delivery, _then: object) -> None:
        self.letters.append(letter)


def properties_of(raw: bytes) -> spec.BasicProperties:
    """Return properties as a consumer gets them."""
    written = (
        b"\x02\x00\x01"
        + (12 + len(raw)).to_bytes(4)
        + b"\x00\x3c\x00\x00"
        + bytes(8)
        + raw
        + b"\xce"
    )
    size, header = frames.read(written)
    assert size == len(written)
    return header.properties


def submission_of(
    properties: spec.BasicProperties, body: bytes, key: str | bytes
) -> ReceivedSubmission:
    """Return what the intake makes of a message."""
    method = spec.Basic.Deliver("c", 1, False, SUBMIT_EXCHANGE, key)
    return received(None, method, properties, body)  # type: ignore[arg-type]  # needs no channel


def is_publishable(letter: Outgoing) -> bool:
    """Return whether RabbitMQ can be given a letter, and the index."""
    check_texts(letter)
    amqp_properties(letter).encode()
    assert msgspec.json.encode(indexed(letter)[0])
    return True


@EXAMPLES
@given(st.binary(max_size=200), st.binary(max_size=40), st.binary(max_size=40))
def test_any_bytes_for_properties_are_read(raw, body, key):
    """Also such as no client can write: what cannot be read is not there."""
    submission = submission_of(properties_of(raw.ljust(2, b"\0")), body, key)

    assert submission.id
    assert submission.body == body


@EXAMPLES
@given(chance)
def test_any_properties_can_be_kept(rng: random.Random):
    """With fields of every type: a refused message has them in its letter, or has lost them."""
    submission = submission_of(properties_of(fuzz.properties(rng).raw), b"", "q")

    letter = dead_letter(
        "q",
        b"",
        id=submission.id,
        task=None,
        reason="invalid",
        error=None,
        attempts=0,
        first_failed_at_ms=None,
        worker=None,
        priority=submission.priority or 0,
    )

    assert is_publishable(
        msgspec.structs.replace(
            letter,
            correlation_id=submission.correlation_id,
            content_type=submission.content_type,
        )
    )


@EXAMPLES
@given(chance)
def test_any_submission_is_a_job_or_has_faults(rng: random.Random):
    """And the faults can be told in a reply."""
    body = fuzz.body(rng, SUBMISSION)
    submission = submission_of(properties_of(fuzz.properties(rng).raw), body, rng.choice(["", "q"]))
    catalogue = Catalogue(Store())  # type: ignore[arg-type]  # all that is asked
    try:
        wished = submissions.requested_jobs(
            submission,
            catalogue,
            payload_max_bytes=SETTINGS.payload_max_bytes,
            reply_prefix=SETTINGS.reply_queue_prefix,
        )
        faults = []
    except InvalidSubmission as error:
        wished, faults = [], refusal(error).errors

    assert bool(wished) != bool(faults)
    assert msgspec.json.encode(faults)
    assert all(json.loads(wish.job.body.encode()) for wish in wished)


@EXAMPLES
@given(chance)
def test_any_message_on_a_work_queue_is_a_job_or_a_dead_letter(rng: random.Random):
    """One of the two, and with a reason that protocol.md has."""
    store, consumer = Store(), Consumer()
    make: Any = Admission
    tasks: Any = {"fuzzed": add}
    admission = make(store, consumer, consumer, tasks, SETTINGS, "w")
    make_adopter: Any = Adopter
    adopter = make_adopter(store, Adoption(tasks, SETTINGS), admission, "w")
    body = fuzz.body(rng, {**MESSAGE, "message_id": new_id()})
    consumer.put(Delivery("q", 1, body, properties_of(fuzz.properties(rng).raw), None))

    while consumer.waiting:
        candidates = admission.admit([consumer.waiting.pop()], AttemptRegistry())
        claims = admission.claims(candidates)
        assert all(type(claim.attempt) is int for claim in claims)
        verdicts = [Verdict("unknown") for _ in claims]
        adopter.adopt_unknown(list(candidates.values()), claims, verdicts, call=1)

    assert len(store.created) + len(consumer.letters) == 1
    for letter in consumer.letters:
        assert letter.body == body
        assert letter.headers is not None
        assert letter.headers["taskyard-reason"] in ("too_large", "undecodable", "invalid")
        # An error that is not foreseen is dealt with too, but told by its type alone.
        assert not letter.headers["taskyard-error-message"].startswith("it ")
        assert is_publishable(letter)
    for job in store.created:
        assert msgspec.msgpack.encode(job)


@EXAMPLES
@given(chance, st.binary(max_size=100))
def test_any_message_in_a_dead_letter_queue_is_indexed(rng: random.Random, body: bytes):
    """As operators and RabbitMQ itself put some there."""
    properties = properties_of(fuzz.properties(rng).raw)

    entry, kept = index_entry(
        "q",
        body,
        properties.headers or {},
        id="i",
        task="t",
        priority=properties.priority or 0,
        digest=bytes.hex,
    )

    assert entry.id
    assert msgspec.json.decode(msgspec.json.encode(entry), type=type(entry)) == entry
    assert kept.encode() == (body if entry.is_job else b"")
