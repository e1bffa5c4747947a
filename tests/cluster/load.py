"""Producers that submit jobs all the while, and what they were answered."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise

from msgspec import Struct

from taskyard.errors import TaskyardError
from taskyard.message import new_id
from taskyard.rabbitmq.outgoing import Outgoing
from taskyard.rabbitmq.publisher import Publisher
from taskyard.rabbitmq.topology import INTAKE_QUEUE
from tests import worker_tasks as tasks
from tests.faults.ledger import Ledger
from tests.polling import poll
from tests.yard import Yard

PAUSE_S = 0.1
PUBLISH_S = 5.0
#: Longest time that RabbitMQ keeps a message for a node of which it has not heard yet that it is lost.
UNDER_WAY_S = 75.0


class Refused(Exception):
    """A submission was answered that it did not succeed."""


class Answer(Struct, frozen=True):
    """What became of one submission."""

    job_id: str
    asked_at: float
    answered_at: float
    #: Empty: it was accepted.
    error: str


class Producer:
    """Submits jobs one after the other, by one door.

    Args:
        name: The door's.
        submit: Submits a job of this id; raises `Refused`.
    """

    def __init__(self, name: str, submit: Callable[[str], None]) -> None:
        self.name = name
        self._submit = submit
        self.answers: list[Answer] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Return after the last answer."""
        self._is_over.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), f"{self.name} hangs"

    def is_accepted(self, since: float, until: float) -> bool:
        """Return whether a job that was submitted and accepted between these times."""
        return bool(self._accepted(since, until))

    def back_s(self, since: float) -> float:
        """Return how long after this time a job that was submitted then was accepted."""
        return min(each.answered_at for each in self._accepted(since, float("inf"))) - since

    def longest_gap_s(self, since: float) -> float:
        """Return the longest time without an accepted job, since then and to the last answer."""
        accepted = [each.answered_at for each in self.answers if not each.error]
        ends = [since, *(at for at in accepted if at > since), self.answers[-1].answered_at]
        return max(later - earlier for earlier, later in pairwise(ends))

    def summary(self, since: float) -> str:
        """Return what an operator would want to know of the answers since then."""
        refused = [each for each in self.answers if each.error and each.answered_at > since]
        return (
            f"{self.name}: {len(self.answers)} answers, {len(refused)} refused, longest gap"
            f" {self.longest_gap_s(since):.1f} s, slowest answer {self.slowest_s():.1f} s"
        )

    def slowest_s(self) -> float:
        """Return the longest time that an answer took."""
        return max(each.answered_at - each.asked_at for each in self.answers)

    def _accepted(self, since: float, until: float) -> list[Answer]:
        answers = list(self.answers)
        return [
            each
            for each in answers
            if not each.error and since < each.asked_at and each.answered_at < until
        ]

    def _run(self) -> None:
        while not self._is_over.wait(PAUSE_S):
            job_id, asked_at, error = new_id(), time.time(), ""
            try:
                self._submit(job_id)
            except Refused as refused:
                error = str(refused)
            self.answers.append(Answer(job_id, asked_at, time.time(), error))


class Load:
    """Producers by REST, from Python and over AMQP, all for one queue.

    Args:
        yard: Where the jobs go.
        api_url: Where the API is.
    """

    def __init__(self, yard: Yard, api_url: str) -> None:
        self._yard = yard
        self._api_url = api_url
        self._stranger = Publisher(yard.settings.broker_url, name="stranger")
        self.rest = Producer("rest", self._by_rest)
        self.python = Producer("python", self._by_python)
        self.amqp = Producer("amqp", self._by_amqp)

    @property
    def producers(self) -> list[Producer]:
        """All of them."""
        return [self.rest, self.python, self.amqp]

    def start(self) -> None:
        """Return once each has had a job accepted."""
        for producer in self.producers:
            producer.start()
        for producer in self.producers:
            poll(partial(producer.is_accepted, 0.0, float("inf")))

    def stop(self) -> None:
        """Return after the last answers."""
        for producer in self.producers:
            producer.stop()
        self._stranger.close()

    def settle(self, *others: str) -> Counter[str]:
        """Return how many jobs ended in which state, with some of others, once the books agree.

        What was refused may come through as long as RabbitMQ has it on its way, a minute at most.

        Raises:
            AssertionError: As the ledger's.
        """
        deadline = time.monotonic() + UNDER_WAY_S
        while True:
            try:
                return self._ledger(others).settle(timeout_s=30)
            except AssertionError:
                if time.monotonic() > deadline:
                    raise

    def _ledger(self, others: Iterable[str]) -> Ledger:
        ledger = Ledger(self._yard)
        ledger.add(*others)
        for answer in (each for producer in self.producers for each in producer.answers):
            if answer.error:
                ledger.add_unsure(answer.job_id)
            else:
                ledger.add(answer.job_id)
        return ledger

    def _by_rest(self, job_id: str) -> None:
        fields = {"id": job_id, "task": tasks.note.name, "queue": self._yard.queue}
        request = urllib.request.Request(
            f"{self._api_url}/v1/jobs",
            json.dumps(fields).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            urllib.request.urlopen(request, timeout=30).close()
        except urllib.error.HTTPError as error:
            with error:
                raise Refused(f"{error.code}: {error.read().decode()}") from error
        except OSError as error:
            raise Refused(f"no answer: {error}") from error

    def _by_python(self, job_id: str) -> None:
        try:
            self._yard.submit(tasks.note, id=job_id)
        except TaskyardError as error:
            raise Refused(str(error)) from error

    def _by_amqp(self, job_id: str) -> None:
        """As a producer does that has a deadline of its own."""
        body = {"id": job_id, "task": tasks.note.name, "queue": self._yard.queue}
        message = Outgoing(queue=INTAKE_QUEUE, body=json.dumps(body).encode(), id=job_id)
        try:
            self._stranger.publish([message], deadline_s=PUBLISH_S)
        except TaskyardError as error:
            raise Refused(str(error)) from error
