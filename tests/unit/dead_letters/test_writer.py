"""One way to write dead letters: confirmed by RabbitMQ first, listed in the store second."""

from typing import Any, cast

import pytest

from taskyard.dead_letters.message import WHOLE_BYTES_HEADER, dead_letter
from taskyard.dead_letters.writer import DeadLetterWriter
from taskyard.errors import BrokerUnavailable, MessageTooLarge, StoreFault, StoreUnavailable
from taskyard.job import JobError
from taskyard.rabbitmq.confirms import Failure
from taskyard.rabbitmq.outgoing import Outgoing

MAX_BYTES = 100


class Publisher:
    """Takes messages up to a size, for queues that are not full."""

    def __init__(self) -> None:
        self.taken: list[Outgoing] = []

    def publish_each(self, messages, *, deadline_s, is_whole):
        failures = {}
        for place, message in enumerate(messages):
            if message.queue == "full":
                failures[place] = Failure(BrokerUnavailable("full"), may_arrive=False)
            elif len(message.body) > MAX_BYTES:
                failures[place] = Failure(MessageTooLarge("large"), may_arrive=False)
            else:
                self.taken.append(message)
        return failures


class Store:
    """Lists dead letters, unless it is away or fails at the ids in `bad`."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.is_away = False
        self.bad: set[str] = set()

    def index_dead_letters(self, letters):
        ids = [entry.id for entry, _ in letters]
        if self.is_away:
            raise StoreUnavailable("away")
        if self.bad & set(ids):
            raise StoreFault("damaged")
        self.ids += ids


@pytest.fixture
def publisher():
    return Publisher()


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def writer(publisher, store):
    return DeadLetterWriter(cast(Any, publisher), cast(Any, store), deadline_s=1)


def letter(job_id: str, *, queue: str = "q", body: bytes = b"{}") -> Outgoing:
    error = JobError("E", "m", reason="timeout")
    return dead_letter(queue, body, id=job_id, task="t", error=error, priority=5, attempts=1)


def test_letters_are_confirmed_and_listed(writer, publisher, store):
    """In that order, and all at once."""
    assert writer.write([letter("a"), letter("b")]) == {}

    assert [each.id for each in publisher.taken] == store.ids == ["a", "b"]


def test_what_is_not_confirmed_is_not_listed(writer, store):
    """Its place is told with the reason; the others are written."""
    failures = writer.write([letter("a", queue="full"), letter("b")])

    assert [str(failures[place].error) for place in failures] == ["full"]
    assert list(failures) == [0]
    assert store.ids == ["b"]


def test_one_that_is_too_large_is_written_with_its_beginning(writer, publisher, store):
    """Whoever writes it: it would never be taken whole."""
    assert writer.write([letter("small"), letter("large", body=b"x" * 150)]) == {}

    (large,) = [each for each in publisher.taken if each.id == "large"]
    assert large.headers is not None
    assert large.headers[WHOLE_BYTES_HEADER] == 150
    assert len(large.body) <= MAX_BYTES
    assert len(store.ids) == 2


def test_one_that_the_store_cannot_list_holds_up_no_other(writer, store, caplog):
    """It is safe in its queue, and named in the log."""
    store.bad = {"bad"}

    assert writer.write([letter("a"), letter("bad"), letter("b")]) == {}

    assert store.ids == ["a", "b"]
    assert [record.job_id for record in caplog.records] == ["bad"]


def test_a_store_that_is_away_makes_no_letter_unwritten(writer, store, caplog):
    """RabbitMQ has them: the scheduler lists them later."""
    store.is_away = True

    assert writer.write([letter("a")]) == {}

    assert "not listed yet" in caplog.text
    with pytest.raises(StoreUnavailable):
        writer.index([letter("a")])
