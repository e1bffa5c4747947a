"""What a dead letter looks like."""

import hashlib
from functools import partial
from typing import Any

from taskyard.dead_letters.fingerprint import fingerprint
from taskyard.dead_letters.message import dead_letter, index_entry, indexed, shortened
from taskyard.job import JobError
from taskyard.rabbitmq.bodies import BEGINNING_BYTES, cut
from taskyard.runtime.keyed_hash import KeyedHash
from taskyard.store.dead_letters import DeadLetter

DIGEST = bytes.hex
KNOWN: dict[str, Any] = {
    "id": "a",
    "task": "add",
    "reason": "retries_exhausted",
    "error": JobError("ValueError", "no", "Traceback", "retries_exhausted"),
    "attempts": 3,
    "first_failed_at_ms": 1_000,
    "worker": "host:1:2",
    "priority": 7,
    "failed_at_ms": 2_000,
}


def letter(body: bytes = b"{}", **fields: Any):
    return dead_letter("q", body, **{**KNOWN, **fields})


def test_the_reason_is_in_the_headers():
    """With everything that an operator asks next; the body is as it was."""
    made = letter(b'{"a": 1}')

    assert (
        made.body,
        made.queue,
        made.id,
        made.task,
        made.priority,
        made.is_dead,
    ) == (b'{"a": 1}', "q", "a", "add", 7, True)
    assert made.headers == {
        "taskyard-reason": "retries_exhausted",
        "taskyard-dead-letter-id": "a",
        "taskyard-fingerprint": fingerprint("add", "ValueError", "no", "Traceback"),
        "taskyard-error-type": "ValueError",
        "taskyard-error-message": "no",
        "taskyard-attempts": 3,
        "taskyard-first-failed-at": "1970-01-01T00:00:01.000Z",
        "taskyard-failed-at": "1970-01-01T00:00:02.000Z",
        "taskyard-queue": "q",
        "taskyard-worker": "host:1:2",
    }


def test_a_message_that_never_was_a_job_can_be_one():
    """What is not known is left out; the body need not even be text."""
    made = letter(
        b"\x00\xff",
        id=None,
        task=None,
        reason="undecodable",
        error=None,
        attempts=0,
        first_failed_at_ms=None,
        worker=None,
    )

    assert (made.body, made.id, made.task) == (b"\x00\xff", "", "")
    assert made.headers is not None
    assert None not in made.headers.values()
    assert made.headers["taskyard-first-failed-at"] == made.headers["taskyard-failed-at"]


def test_the_time_of_death_is_now_unless_told():
    """By this machine's clock."""
    made = letter(failed_at_ms=None)

    assert made.headers is not None
    assert made.headers["taskyard-failed-at"] > "2025"


def test_long_and_strange_texts_can_be_sent():
    """Texts are bounded, and what is no Unicode gets a form that is."""
    made = letter(
        id="ä" * 300,
        task="t" * 300,
        error=JobError("T" * 5000, "\ud800" + "ä" * 5000),
        worker="w\ud800",
    )

    assert made.headers is not None
    for value in made.headers.values():
        assert not isinstance(value, str) or len(value.encode()) <= 4000
    assert len(made.headers["taskyard-error-message"]) == 1000
    assert len(made.id.encode()) <= 255
    assert len(made.task) == 255


def test_the_id_of_what_has_none_tells_nothing_of_its_body():
    """It is made of it all the same, so that every scheduler makes the same."""

    def entry(headers: dict[str, Any], secret: bytes) -> DeadLetter:
        digest = partial(KeyedHash(lambda _: secret).digest, "dead letters")
        return index_entry(
            "q", b'{"pin": 4711}', headers, id="", task="", priority=5, digest=digest
        )[0]

    made = entry({}, b"a")

    assert made.id == entry({"x-death": [], "taskyard-dead-letter-id": "forged"}, b"a").id
    assert made.id != entry({}, b"b").id
    assert len(made.id) == 32


def test_a_letter_with_the_beginning_of_its_message_tells_the_whole_and_is_no_job():
    """Whatever else its headers say: there is nothing to run."""
    body = b"1" * 200_000
    sha256 = hashlib.sha256(body).hexdigest()

    entry, kept = indexed(letter(cut(body, 100_000)))

    assert (entry.body_bytes, entry.kept_bytes) == (200_000, BEGINNING_BYTES)
    assert (entry.body_sha256, entry.is_cut, entry.is_job, kept) == (sha256, True, False, "")


def test_a_letter_that_is_too_large_for_rabbitmq_is_shortened():
    """Its headers stay, and say of the whole what they would have said at first."""
    whole = letter(b"1" * 200_000)

    short = shortened(whole)

    assert indexed(short)[0].body_bytes == 200_000
    assert short.headers is not None
    assert whole.headers is not None
    assert whole.headers.items() <= short.headers.items()
    assert len(short.body) == BEGINNING_BYTES
    assert len(shortened(letter(b"1" * 10)).body) == 5


def test_what_rabbitmq_itself_buried_is_whole_though_only_its_beginning_was_read():
    """Its id follows from its bytes, however many of them were read."""
    body = b"1" * 200_000
    read = [
        index_entry("q", each, {"x-death": []}, id="", task="", priority=0, digest=DIGEST)[0]
        for each in (body, cut(body, 100_000))
    ]

    assert read[0] == read[1]
    assert (read[0].kept_bytes, read[0].is_cut) == (200_000, False)


def test_a_stranger_s_word_of_the_whole_is_void():
    """As all that is said in our words by what an expiration has brought here."""
    said = {"x-death": [], "taskyard-whole-sha256": "0" * 64, "taskyard-whole-bytes": 5}

    entry, _ = index_entry("q", b"12", said, id="", task="", priority=0, digest=DIGEST)

    assert (entry.body_bytes, entry.is_cut) == (2, False)
