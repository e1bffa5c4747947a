"""The customers: each door's, who submits, cancels and notes what was answered."""

import time
from collections.abc import Iterator
from typing import Any

from taskyard.client import Client
from taskyard.errors import BrokerUnavailable, Unavailable
from taskyard.request import parse
from taskyard.task import registry
from tests.nemesis.book import Book, Cancel, Submission, Verdict
from tests.nemesis.choices import Choice, Chooser
from tests.nemesis.rest import Answer, Rest

#: A client that repeats what was not answered does so this often, after so long.
REPEATS = 8
REPEAT_AFTER_S = 1.0
#: Statuses by which an API may refuse a good request: it, RabbitMQ or the store is away.
EXCUSED = (0, 503)
#: A cancel may also come too early, when the job is not recorded yet, or too late.
EXCUSED_CANCELS = (*EXCUSED, 200, 202, 404, 409)
#: Jobs that were accepted so lately are worth cancelling.
RECENT_S = 6.0


class Customer:
    """One thread's way to the system.

    Args:
        name: The round's, the beginning of all ids.
        ports: Of the two APIs.
        chooser: What to submit.
        book: Where to note it.
    """

    def __init__(self, name: str, ports: tuple[int, int], chooser: Chooser, book: Book) -> None:
        self.name = name
        self.chooser = chooser
        self.rng = chooser.rng
        self.book = book
        self.apis = [Rest(port) for port in ports]

    def close(self) -> None:
        """Close the connections."""
        for api in self.apis:
            api.close()

    def id_of(self, letter: str, number: int) -> str:
        """Return the id of a job; the letter stands for its door."""
        return f"{self.name}-{letter}{number}"

    def note(self, door: str, job_id: str, choice: Choice, verdict: Verdict, **facts: Any) -> None:
        """Enter a submission that was answered just now."""
        self.book.enter(
            Submission(
                job_id=job_id,
                door=door,
                task=choice.task,
                number=choice.number,
                delay_s=choice.delay_s,
                verdict=verdict,
                answered_at=time.time(),
                **facts,
            )
        )

    def note_answer(
        self, door: str, job_id: str, choice: Choice, answer: Answer, asked_at: float
    ) -> None:
        """Enter a submission over REST."""
        is_accepted = answer.status in (200, 202)
        verdict: Verdict = (
            "accepted" if is_accepted else "unknown" if answer.status == 0 else "refused"
        )
        detail = "" if is_accepted else f"{answer.status} {str(answer.document)[:300]}"
        if not is_accepted and answer.status not in EXCUSED:
            self.book.surprises.append(f"{door}: {detail}")
        is_final = 400 <= answer.status < 500 or _is_taken_back(answer, job_id)
        self.note(
            door, job_id, choice, verdict, asked_at=asked_at, detail=detail, is_final=is_final
        )


def _is_taken_back(answer: Answer, job_id: str) -> bool:
    """Return whether the API says that RabbitMQ did not take it: then it does not run, whatever arrives."""
    told = answer.document if isinstance(answer.document, dict) else {}
    return told.get("code") == "broker_unavailable" and job_id not in told.get("taken", ())


def rest(customer: Customer, *, repeats: int) -> Iterator[float]:
    """Submit a job by `POST /v1/jobs`, at each API in turn until one accepts it; yield the pauses between."""
    choice = customer.chooser.choose()
    job_id = customer.id_of("r", choice.number)
    for turn in range(repeats):
        asked_at = time.time()
        api = customer.apis[(choice.number + turn) % 2]
        answer = api.call("POST", "/v1/jobs", {"id": job_id, **choice.request})
        customer.note_answer("rest", job_id, choice, answer, asked_at)
        if answer.status in (200, 202):
            return
        yield REPEAT_AFTER_S


def batch(customer: Customer, *, size: int) -> None:
    """Submit many jobs by one request."""
    submit_batch(customer, "batch", "b", [customer.chooser.choose() for _ in range(size)])


def submit_batch(customer: Customer, door: str, letter: str, choices: list[Choice]) -> None:
    """Submit these jobs by one request."""
    jobs = {customer.id_of(letter, each.number): each for each in choices}
    asked_at = time.time()
    body = {"jobs": [{"id": job_id, **each.request} for job_id, each in jobs.items()]}
    answer = customer.apis[0].call("POST", "/v1/jobs/batch", body)
    for job_id, choice in jobs.items():
        customer.note_answer(door, job_id, choice, answer, asked_at)


def unique(customer: Customer) -> None:
    """Submit a job of which one a key may live; the API chooses the id, or names the one that lives."""
    number = customer.chooser.number()
    key = f"{customer.name}-{customer.rng.choice('abc')}"
    choice = Choice(number, "unique", [number, key])
    asked_at = time.time()
    answer = customer.apis[0].call("POST", "/v1/jobs", choice.request)
    if answer.status in (200, 202):
        job_id = answer.document["id"]
        with customer.book.lock:
            customer.book.by_key.setdefault(key, set()).add(job_id)
        customer.note_answer("unique", job_id, choice, answer, asked_at)
    elif answer.status not in EXCUSED:
        customer.book.surprises.append(f"unique: {answer.status} {answer.document}")


def cancel(customer: Customer) -> None:
    """Cancel a job that was accepted lately, and that waits or runs for a while."""
    job_id = _victim(customer)
    if job_id is None:
        return
    customer.book.doomed.add(job_id)
    asked_at = time.time()
    status, document = customer.rng.choice(customer.apis).call(
        "POST", f"/v1/jobs/{job_id}/cancel", {}
    )
    if status not in EXCUSED_CANCELS:
        customer.book.surprises.append(f"cancel of {job_id}: {status} {document}")
    customer.book.cancels.append(
        Cancel(job_id=job_id, asked_at=asked_at, answered_at=time.time(), status=status)
    )


def _victim(customer: Customer) -> str | None:
    since = time.time() - RECENT_S
    victims = [
        each.job_id
        for each in customer.book.accepted()
        if each.answered_at > since
        and each.job_id not in customer.book.doomed
        and each.door != "unique"
        and (each.delay_s or each.task == "nap")
    ]
    return customer.rng.choice(victims) if victims else None


def python(customer: Customer, client: Client) -> None:
    """Submit a job as `.delay()` does, without an id, or with one as `.apply_async()` does."""
    choice = customer.chooser.choose()
    has_id = choice.number % 2 == 0 or choice.delay_s is not None
    job_id = customer.id_of("p", choice.number) if has_id else None
    asked = choice.request if job_id is None else {"id": job_id, **choice.request}
    asked_at = time.time()
    try:
        handle = client.submit(registry[asked["task"]].options, parse(asked))
        customer.note("python", handle.id, choice, "accepted", asked_at=asked_at)
    except Unavailable as error:
        if job_id is None:
            customer.book.nameless.append(choice.number)
        else:
            facts = {
                "detail": f"{error.code}: {error}",
                "is_final": isinstance(error, BrokerUnavailable),
            }
            customer.note("python", job_id, choice, "refused", asked_at=asked_at, **facts)
