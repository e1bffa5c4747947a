"""How the evidence of a round is gathered: wait for the ends, then ask everything that can be asked."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker

from taskyard.consistency.messages import settle_s
from taskyard.consistency.verification import Report, Verification
from taskyard.rabbitmq.inspect import DepthReader
from taskyard.rabbitmq.topology import dead_queue
from tests.events import read_events
from tests.nemesis import tasks
from tests.nemesis.book import Book
from tests.nemesis.evidence import TERMINAL, Document, Evidence, Marks
from tests.nemesis.executions import read_executions
from tests.nemesis.producers import take_replies
from tests.nemesis.rest import Rest
from tests.nemesis.scene import Scene
from tests.nemesis.stack import Stack
from tests.yard import metric

QUEUES = (tasks.QUEUE, tasks.LIMITED_QUEUE)

LOOK_EVERY_S = 0.5
#: A job that was never accepted may still come: `relay` finds it after RELAY_AFTER_S.
UNSURE_S = 2.0
#: Chores tell replies, dead letters and gauges a moment after the ends; this bounds the failure only.
AGREE_S = 30.0


def gather(scene: Scene, *, began_at: float, fault_over_at: float, drain_s: float) -> Evidence:
    """Return all evidence once every job has ended, or the time to drain is over."""
    stack, book = scene.stack, scene.load.book
    load_over_at = time.time()
    reader = Reader(stack, began_at)
    documents = reader.drain(book, drain_s)
    marks = Marks(began_at, fault_over_at, load_over_at, time.time())
    evidence = Evidence(
        book=book,
        marks=marks,
        witness=stack.witness,
        executions=[],
        documents=documents,
        notes=scene.notes,
    )
    _take_replies(stack, book)
    _settle_books(stack, evidence)
    evidence.read_again = reader.read(set(evidence.ended()))
    evidence.unlisted = reader.unlisted
    evidence.executions += read_executions(read_events(stack.folder), since=began_at)
    stack.witness.bury(evidence.executions)
    scene.load.close()
    reader.close()
    return evidence


class Reader:
    """Reads jobs by the API.

    Args:
        stack: Whose.
        since: Jobs of the list that are older are left out; seconds since 1970.
    """

    def __init__(self, stack: Stack, since: float) -> None:
        self._api = Rest(stack.apis[0].port)
        moment = datetime.fromtimestamp(since - 1, UTC).isoformat()
        self._list = f"/v1/jobs?limit=200&created_after={quote(moment)}"
        self._witness = stack.witness
        self._unsure_s = stack.settings.relay_after_s + UNSURE_S
        self.unlisted: set[str] = set()

    def close(self) -> None:
        """Close the connection."""
        self._api.close()

    def drain(self, book: Book, drain_s: float) -> dict[str, Document | None]:
        """Return every submitted job when all have ended, or after `drain_s`."""
        began_at = time.monotonic()
        may_be_purged = self._witness.may_be_purged
        accepted = book.accepted()
        promised = [each for each in accepted if not may_be_purged(each.door, each.asked_at)]
        while True:
            documents = self.read(set(book.submissions))
            is_open = {job_id for job_id, each in documents.items() if _is_open(each)}
            missing = {each.job_id for each in promised if documents[each.job_id] is None}
            waited_s = time.monotonic() - began_at
            is_sure = len(promised) == len(documents) or waited_s > self._unsure_s
            if (not is_open and not missing and is_sure) or waited_s > drain_s:
                return documents
            time.sleep(LOOK_EVERY_S)

    def read(self, ids: set[str]) -> dict[str, Document | None]:
        """Return these jobs by id; those that the list lacks are asked for one by one."""
        listed = {each["id"]: each for each in self._pages()}
        found: dict[str, Document | None] = {}
        for job_id in ids:
            found[job_id] = listed.get(job_id) or self._one(job_id)
        self.unlisted = {job_id for job_id in ids if found[job_id] and job_id not in listed}
        return found

    def _pages(self) -> list[Document]:
        items: list[Document] = []
        path = self._list
        while True:
            page = self._answer(path)
            items += page["items"]
            if page["cursor"] is None:
                return items
            path = f"{self._list}&cursor={quote(page['cursor'])}"

    def _one(self, job_id: str) -> Document | None:
        answer = self._answer(f"/v1/jobs/{job_id}")
        return answer if "state" in answer else None

    def _answer(self, path: str) -> Document:
        """Return what the API answers; it may be away for a moment."""
        deadline = time.monotonic() + AGREE_S
        while True:
            status, document = self._api.get(path)
            if status in (200, 404):
                return dict(document)
            if time.monotonic() > deadline:
                raise AssertionError(f"GET {path}: {status} {document}")
            time.sleep(LOOK_EVERY_S)


def _is_open(document: Document | None) -> bool:
    return document is not None and document["state"] not in TERMINAL


def _take_replies(stack: Stack, book: Book) -> None:
    """Count the replies that tell an end, until each job that came over AMQP has one."""
    asked = {each.job_id for each in book.accepted() if each.door == "amqp"}

    def have_come() -> bool:
        try:
            for status, job_id in take_replies(stack.rabbit.url, stack.replies):
                book.ends_replied[job_id] += status == "ended"
                if status not in ("accepted", "ended"):
                    book.surprises.append(f"{job_id}: its reply was {status}")
        except AMQPError as error:
            book.surprises.append(f"replies: {error!r}")
        return all(book.ends_replied[job_id] for job_id in asked)

    _until(have_come)


def _settle_books(stack: Stack, evidence: Evidence) -> None:
    """Ask for dead letters and gauge until they agree with the documents; then verify, once."""
    failed = {i for i, each in evidence.ended().items() if each["state"] == "failed"}
    own = evidence.documents.keys()

    def do_agree() -> bool:
        evidence.dead_letters = dead_letters(stack)
        evidence.dead_messages = dead_messages(stack)
        evidence.unaccounted = unaccounted(stack)
        is_level = len(evidence.dead_letters) == evidence.dead_messages
        return evidence.dead_letters & own == failed and is_level and not evidence.unaccounted

    _until(do_agree)
    evidence.consistency = verify(stack)


def _until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds, or after a while all the same: the judge sees what is not so."""
    deadline = time.monotonic() + AGREE_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_S)


def verify(stack: Stack) -> Report:
    """Account for all jobs, as the command does, without a process of its own."""
    settings = stack.settings
    older_than_s = settle_s(settings.heartbeat_s)
    return Verification(
        stack.client.dispatcher, DepthReader(settings.broker_url), older_than_s=older_than_s
    ).run()


def unaccounted(stack: Stack) -> float:
    """Return the gauge of jobs that are not accounted for, of the scheduler that knows of the most."""
    return max(metric(each, "taskyard_jobs_unaccounted") for each in stack.schedulers)


def dead_letters(stack: Stack) -> set[str]:
    """Return the jobs that the API shows among the dead letters of the load's queues."""
    api, ids = Rest(stack.apis[0].port), set()
    for queue in QUEUES:
        first = path = f"/v1/dead-letters?limit=500&queue={queue}"
        while path:
            status, page = api.get(path)
            page = page if status == 200 else {"items": [], "cursor": None}
            ids |= {each["id"] for each in page["items"]}
            path = f"{first}&cursor={quote(page['cursor'])}" if page["cursor"] else ""
    api.close()
    return ids


def dead_messages(stack: Stack) -> int:
    """Return how many messages are in the queues of dead letters."""
    with pika.BlockingConnection(pika.URLParameters(stack.rabbit.url)) as connection:
        return sum(_messages(connection, dead_queue(queue)) for queue in QUEUES)


def _messages(connection: pika.BlockingConnection, queue: str) -> int:
    try:
        declared = connection.channel().queue_declare(queue, passive=True)
    except ChannelClosedByBroker:  # it was deleted
        return 0
    return int(declared.method.message_count)
