"""Dead letters over REST, on real servers: what is shown, and what replay, purge and resubmission do."""

import random
from typing import Any

import pika
import pytest
from msgspec.structs import replace

from services.scheduler.chores.dead_letters import KeepDeadLetters
from services.scheduler.chores.reclaim import Reclaim
from services.scheduler.chores.relay import Relay
from services.scheduler.chores.replay import RunReplays
from services.worker.attempts.dead_letters import PendingDeadLetters
from taskyard.dead_letters.message import dead_letter
from taskyard.dispatcher import Dispatcher
from taskyard.errors import BrokerUnavailable
from taskyard.job import JobError
from taskyard.message import decode
from taskyard.operations.retry import retry_jobs
from taskyard.rabbitmq.inspect import QueueDepths
from taskyard.rabbitmq.publisher import Publisher
from taskyard.rabbitmq.queue_move import moving_queue
from taskyard.rabbitmq.topology import dead_queue
from taskyard.store.attempts import Outcome
from tests.contract import jobs
from tests.polling import poll
from tests.unit.worker.doubles import delivery

pytest_plugins = ["tests.integration.api_fixtures"]


@pytest.fixture
def depths(settings):
    depths = QueueDepths(settings.broker_url, name="test")
    depths.start()
    yield depths
    depths.close()


@pytest.fixture
def keeper(store, depths, settings):
    """The chore that removes messages; without its rests."""
    keeper = KeepDeadLetters(store, depths, settings, rest_factor=0)
    poll(lambda: _runs(keeper))
    return keeper


def _runs(chore: Any) -> bool:
    try:
        chore.run_once()
    except BrokerUnavailable:
        return False
    return True


class Cemetery:
    """Lets jobs die as a worker would, and strangers too."""

    def __init__(self, store: Any, publisher: Publisher, queue: str) -> None:
        self._store = store
        self._publisher = publisher
        self._queue = queue
        self._dead_letters = PendingDeadLetters(publisher, store, deadline_s=30)
        self._dead_letters.start()

    def close(self) -> None:
        self._dead_letters.stop()

    def job(self, job_id: str, attempt: int = 1, **error: Any) -> str:
        """Start the job's attempt, and let it fail for good."""
        token = jobs.claim(self._store, job_id, attempt, queue=self._queue).token
        assert token
        (body,) = [job.body for job in self._store.retry_sources([job_id])]
        told = JobError(**{"type": "ValueError", "message": "no", **error})
        self._write_dead_letter(body.encode(), job_id, "echo", attempt, "retries_exhausted", told)
        outcome = Outcome(job_id, token, "failed", ttl_ms=jobs.HOUR_MS)
        assert self._store.settle([outcome]) == [True]
        return job_id

    def stranger(self, body: bytes) -> None:
        """Write the dead letter of a message that never was a job."""
        error = JobError("InvalidMessage", "no JSON")
        self._write_dead_letter(body, "its-own-id", None, 0, "undecodable", error)

    def _write_dead_letter(self, body, message_id, task, attempts, reason, error) -> None:
        letter = dead_letter(
            self._queue,
            body,
            id=message_id,
            task=task,
            reason=reason,
            error=error,
            attempts=attempts,
            first_failed_at_ms=None,
            worker="w1",
            priority=5,
        )
        done: list[bool] = []
        self._dead_letters.write(letter, reason, delivery(), lambda: done.append(True))
        poll(lambda: done)


@pytest.fixture
def cemetery(store, publisher, worker, catalogued):
    publisher.start()
    poll(lambda: publisher.is_ready)
    cemetery = Cemetery(store, publisher, catalogued)
    yield cemetery
    cemetery.close()


@pytest.fixture
def dead(cemetery, submit):
    """A function that submits a job of `echo`, lets it die and returns its id."""

    def make(*, error: str = "no", **fields: Any) -> str:
        return cemetery.job(submit(**fields), message=error)

    return make


@pytest.fixture
def left(channel, queue):
    """A function that counts the messages in the dead-letter queue."""

    def count() -> int:
        return channel.queue_declare(dead_queue(queue), passive=True).method.message_count

    return count


def ids(answer: Any) -> list[str]:
    return [item["id"] for item in answer.json["items"]]


def pointers(answer: Any) -> list[str]:
    assert answer.status_code == 422, answer.json
    return [error.get("pointer", error.get("parameter")) for error in answer.json["errors"]]


def test_dead_letters_are_listed(api, dead, conforms):
    """The newest first, each with what it died of and links."""
    first = dead(error="no row 7")
    second = dead(error="no row 8")

    answer = api.get("/v1/dead-letters")

    assert conforms(answer.json, "DeadLetterPage") == []
    assert set(ids(answer)) == {first, second}
    shown = api.get(f"/v1/dead-letters/{first}").json
    assert (
        shown["task"],
        shown["reason"],
        shown["error"]["message"],
        shown["job_id"],
        shown["attempts"],
        shown["preview"],
    ) == ("echo", "retries_exhausted", "no row 7", first, 1, None)
    assert api.get(shown["links"]["job"]).json["state"] == "failed"


def test_pages_and_filters(api, dead, queue):
    """A cursor leads to each of them once."""
    jobs = {dead() for _ in range(5)}

    first = api.get("/v1/dead-letters?limit=3")
    second = api.get(f"/v1/dead-letters?limit=3&cursor={first.json['cursor']}")

    assert jobs == {*ids(first), *ids(second)}
    assert second.json["cursor"] is None
    assert (
        set(ids(api.get(f"/v1/dead-letters?queue={queue}&task=echo&error_type=ValueError"))) == jobs
    )
    assert ids(api.get("/v1/dead-letters?reason=timeout")) == []
    assert ids(api.get("/v1/dead-letters?before=2020-01-01T00:00:00Z")) == []
    assert len(ids(api.get("/v1/dead-letters?after=2020-01-01T00:00:00Z"))) == 5


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=", "cursor"),
        ("cursor=WzEsIiJd", "cursor"),
        ("after=yesterday", "after"),
        ("before=2026-01-01T00:00:00", "before"),
    ],
)
def test_bad_queries_are_refused(api, query, parameter):
    """With the parameter that is wrong."""
    assert pointers(api.get(f"/v1/dead-letters?{query}")) == [parameter]


def test_groups_show_what_died_of_the_same(api, dead, conforms):
    """With their number; the group's filter lists its members."""
    jobs = {dead(error=f"no row {n}") for n in range(3)}
    dead(error="something else")

    answer = api.get("/v1/dead-letters/groups")

    assert conforms(answer.json, "DeadLetterGroupPage") == []
    big = max(answer.json["items"], key=lambda group: group["count"])
    assert big["count"] == 3
    assert big["example"]["id"] in jobs
    assert set(ids(api.get(f"/v1/dead-letters?fingerprint={big['fingerprint']}"))) == jobs


def test_a_replay_brings_jobs_back(
    api, dead, dispatcher, keeper, store, bodies, left, conforms, queue
):
    """First the count; then they are pending, their new message is in the queue and the old one is not."""
    replayed = [dead(args=[n]) for n in range(3)]
    bodies(queue)

    dry = api.post("/v1/dead-letters/replay", json={"filter": {"task": "echo"}, "dry_run": True})
    assert (dry.status_code, dry.json["matched"], dry.json["done"]) == (200, 3, 0)
    assert conforms(dry.json, "DeadLetterCount") == []
    answer = api.post("/v1/dead-letters/replay", json={"filter": {"task": "echo"}})
    assert (answer.status_code, answer.json["total"]) == (202, 3)
    assert conforms(answer.json, "Replay") == []
    chore = RunReplays(dispatcher)
    chore.run_once()
    keeper.run_once()
    chore.run_once()

    assert {jobs.state(store, each) for each in replayed} == {"pending"}
    assert {decode(body).options.attempt for _, body in bodies(queue)} == {2}
    assert left() == 0
    shown = api.get(answer.headers["Location"]).json
    assert (shown["state"], shown["replayed"]) == ("completed", 3)
    assert ids(api.get("/v1/dead-letters")) == []
    assert api.get("/v1/dead-letters/replays").json["items"] == [shown]


def test_only_what_was_replayed_leaves_the_queue(api, dead, dispatcher, keeper, left):
    """The others keep their places."""
    stays, goes = dead(), dead()

    api.post("/v1/dead-letters/replay", json={"ids": [goes]})
    RunReplays(dispatcher).run_once()
    keeper.run_once()

    assert left() == 1
    assert ids(api.get("/v1/dead-letters")) == [stays]


def test_arguments_are_changed_before_a_replay(api, dead, dispatcher, store):
    """If they fit the task's signature."""
    job_id = dead(args=[1])

    bad = api.post("/v1/dead-letters/replay", json={"ids": [job_id], "kwargs": {"nobody": 1}})
    assert pointers(bad) == ["/kwargs/nobody"]
    good = api.post("/v1/dead-letters/replay", json={"ids": [job_id], "args": [2]})
    assert good.status_code == 202
    RunReplays(dispatcher).run_once()

    job = jobs.get(store, job_id)
    assert (
        job.state,
        job.message.args,
        job.message.options.attempts_before,
    ) == ("pending", [2], 1)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, [""]),
        ({"ids": ["a"], "filter": {}}, [""]),
        ({"ids": []}, ["/ids"]),
        ({"ids": ["nobody"]}, ["/ids/0"]),
        ({"filter": {"nobody": 1}}, ["/filter/nobody"]),
        ({"filter": {"after": "x"}, "canary": -1}, ["/filter/after", "/canary"]),
        ({"filter": {}, "rate_per_s": 0}, ["/rate_per_s"]),
        ({"filter": {}, "args": [1]}, [""]),
    ],
)
def test_bad_replays_are_refused(api, body, expected):
    """With all that is wrong."""
    assert pointers(api.post("/v1/dead-letters/replay", json=body)) == expected


def test_a_replay_can_be_stopped(api, dead, dispatcher, store):
    """What was not brought back stays dead."""
    for _ in range(3):
        dead()
    asked = {"filter": {}, "rate_per_s": 1}
    replay = api.post("/v1/dead-letters/replay", json=asked).json
    RunReplays(dispatcher).run_once()

    stopped = api.post(replay["links"]["stop"])

    assert (
        stopped.status_code,
        stopped.json["state"],
        stopped.json["replayed"],
        stopped.json["reason"],
    ) == (200, "stopped", 1, "asked to stop")
    assert len(ids(api.get("/v1/dead-letters"))) == 2


@pytest.mark.parametrize("path", ["/v1/dead-letters/x", "/v1/dead-letters/replays/x"])
def test_what_is_not_there_is_not_found(api, path):
    """With a code for programs."""
    answer = api.get(path)

    assert (answer.status_code, answer.json["code"]) == (404, "not_found")


def test_a_purge_is_for_good(api, dead, keeper, left, conforms):
    """First the count; then record and message are gone."""
    job_id = dead()

    dry = api.post("/v1/dead-letters/purge", json={"filter": {}, "dry_run": True})
    assert dry.json == {"matched": 1, "done": 0}
    done = api.post("/v1/dead-letters/purge", json={"filter": {}})
    keeper.run_once()

    assert done.json == {"matched": 1, "done": 1}
    assert conforms(done.json, "DeadLetterCount") == []
    assert api.get(f"/v1/jobs/{job_id}").status_code == 404
    assert left() == 0


def test_a_stranger_is_sent_again_corrected(api, cemetery, keeper, store, left, conforms):
    """It is listed with a preview; the corrected job has its id, and its message leaves the queue."""
    cemetery.stranger(b'{"task": "echo"')
    (letter,) = api.get("/v1/dead-letters").json["items"]
    assert (letter["job_id"], letter["preview"]["content"]) == (None, '{"task": "echo"')
    assert conforms(letter, "DeadLetter") == []
    here = letter["links"]["self"]

    replay = api.post("/v1/dead-letters/replay", json={"ids": [letter["id"]]})
    bad = api.post(f"{here}/resubmit", json={"task": "nobody"})
    good = api.post(f"{here}/resubmit", json={"task": "echo", "args": [5]})

    assert pointers(replay) == ["/ids/0"]
    assert pointers(bad) == ["/task"]
    assert (202, letter["id"], [5]) == (good.status_code, good.json["id"], good.json["args"])
    assert jobs.state(store, letter["id"]) == "pending"
    assert api.get(here).status_code == 404
    poll(lambda: keeper.run_once() is None and left() == 0)


def test_a_dead_job_is_not_resubmitted(api, dead):
    """But replayed."""
    answer = api.post(f"/v1/dead-letters/{dead()}/resubmit", json={"task": "echo"})

    assert answer.json["errors"][0]["code"] == "is_a_job"


def test_a_failed_job_is_retried(api, dead, keeper, left, bodies, queue, conforms):
    """At once; again is too late."""
    job_id = dead()
    bodies(queue)

    answer = api.post(f"/v1/jobs/{job_id}/retry")
    again = api.post(f"/v1/jobs/{job_id}/retry")
    keeper.run_once()

    assert (
        answer.status_code,
        answer.json["state"],
        conforms(answer.json, "Job"),
    ) == (202, "pending", [])
    assert (
        again.status_code,
        again.json["code"],
        again.json["state"],
    ) == (409, "too_late", "pending")
    assert [decode(body).options.attempt for _, body in bodies(queue)] == [2]
    assert left() == 0


def test_jobs_retried_by_a_filter_leave_their_dead_letters(api, dead, keeper, left, bodies, queue):
    """Once the new messages are confirmed, like that of a single one."""
    ids = {dead(tags=["a"]), dead(tags=["a"])}
    other = dead()
    bodies(queue)

    answer = api.post("/v1/jobs/retry", json={"filter": {"tag": "a"}})
    poll(lambda: _runs(keeper) and left() == 1)

    assert answer.json["retried"] == 2
    assert {decode(body).message_id for _, body in bodies(queue)} == ids
    assert [each["id"] for each in api.get("/v1/dead-letters").json["items"]] == [other]


def test_a_cancelled_job_is_retried(api, submit):
    """It had no dead letter."""
    job_id = submit(delay_s=3600)
    api.post(f"/v1/jobs/{job_id}/cancel")

    assert api.post(f"/v1/jobs/{job_id}/retry").status_code == 202


def test_a_job_that_nobody_knows_is_not_retried(api):
    """404."""
    assert api.post("/v1/jobs/nobody/retry").status_code == 404


def test_a_retry_without_rabbitmq_is_published_later(
    store, dead, dispatcher, keeper, left, bodies, queue
):
    """It is recorded; `relay` publishes it, and only then the old message goes."""
    job_id = dead()
    bodies(queue)
    away = Dispatcher(store, Publisher("amqp://guest:guest@127.0.0.1:1/"))

    (answer,) = retry_jobs(away, [job_id])
    assert answer.verdict == "retried"
    keeper.run_once()
    assert left() == 1
    Relay(dispatcher, older_than_s=0).run_once()
    keeper.run_once()

    assert [decode(body).options.attempt for _, body in bodies(queue)] == [2]
    assert left() == 0


def test_a_job_that_kills_its_workers_is_listed(
    api, store, publisher, settings, submit, cemetery, queue
):
    """Written by the scheduler, it is in the index too."""
    job_id = submit()
    jobs.claim(store, job_id, queue=queue)
    store.end_lease("w1", "signal 9")
    quick = replace(settings, max_crashes=1)

    Reclaim(store, publisher, quick, random.Random(1)).run_once()

    assert ids(api.get("/v1/dead-letters?reason=crash_loop")) == [job_id]


@pytest.mark.parametrize("what", ["number", "bytes"])
def test_limits_remove_the_oldest(api, dead, store, depths, settings, left, queue, what):
    """Above a bound of the queue; the gauge tells how near it is."""
    found = [dead() for _ in range(3)]
    limits = {"dead_letter_max": "2"}
    if what == "bytes":
        limits = {"dead_letter_queue_bytes": str(store.dead_bytes()[queue] - 1)}
    bounded = replace(settings, **limits)
    keeper = KeepDeadLetters(store, depths, bounded, rest_factor=0)
    poll(lambda: _runs(keeper))

    keeper.run_once()

    assert left() == 2
    assert len(ids(api.get("/v1/dead-letters"))) == 2
    assert jobs.state(store, found[0]) == "failed"


@pytest.mark.parametrize("ids", [["a"] * 4, [None] * 4, ["a", "b", "c", "d"]])
def test_what_rabbitmq_buried_itself_is_counted_though_it_is_all_the_same(
    store, depths, settings, channel, left, queue, ids
):
    """Each has an entry and counts towards the bounds: any producer can have it done, by an expiration."""
    store.declare([], [queue])
    channel.queue_declare(dead_queue(queue), durable=True)
    for each in ids:
        properties = pika.BasicProperties(message_id=each, headers={"x-death": []})
        channel.basic_publish("", dead_queue(queue), b"{}", properties)
    unbounded = KeepDeadLetters(store, depths, settings, rest_factor=0)
    poll(lambda: _runs(unbounded) and store.dead_bytes().get(queue))

    counted = store.dead_bytes()[queue]
    bounded = replace(settings, dead_letter_max="3")
    keeper = KeepDeadLetters(store, depths, bounded, rest_factor=0)
    poll(lambda: _runs(keeper) and left() == 3)

    assert counted == 4 * len(b"{}")


@pytest.fixture
def forgetful(store, depths, settings):
    """The chore with little patience; a function that has it pass, often enough for that."""
    keeper = KeepDeadLetters(store, depths, settings, rest_factor=0, gone_passes=3)
    poll(lambda: _runs(keeper))

    def passes() -> bool:
        for _ in range(10):
            keeper.run_once()
        return True

    return passes


@pytest.mark.parametrize("how", ["queue_purge", "queue_delete"])
def test_dead_letters_of_a_queue_that_is_gone_leave_the_list(
    api, dead, store, channel, queue, forgetful, how
):
    """Their jobs stay failed and can be retried; what died later stays on the list."""
    gone = [dead() for _ in range(3)]
    getattr(channel, how)(dead_queue(queue))
    last = dead()

    forgetful()

    assert ids(api.get("/v1/dead-letters")) == [last]
    assert api.get(f"/v1/jobs/{gone[0]}").json["state"] == "failed"
    assert api.post(f"/v1/jobs/{gone[0]}/retry").status_code == 202


def test_a_queue_that_is_gone_has_nothing_to_remove(dead, store, channel, queue, forgetful):
    """What was purged from the list before is done with, too."""
    store.purge_dead([dead(), dead()])
    dead()
    channel.queue_delete(dead_queue(queue))

    forgetful()

    kept, gone = store.dead_counts()
    assert (sum(kept.values()), sum(gone.values())) == (0, 0)


def test_what_was_forgotten_and_comes_back_is_listed_again(api, dead, channel, queue, forgetful):
    """As of a RabbitMQ that had come back without its data, and is put right."""
    name = dead_queue(queue)
    letters = {dead() for _ in range(3)}
    messages = [channel.basic_get(name, auto_ack=True)[1:] for _ in letters]
    forgetful()
    assert ids(api.get("/v1/dead-letters")) == []

    for properties, body in messages:
        channel.basic_publish("", name, body, properties)

    poll(lambda: forgetful() and set(ids(api.get("/v1/dead-letters"))) == letters)


@pytest.mark.parametrize("why", ["read", "moved"])
def test_dead_letters_that_are_elsewhere_stay_on_the_list(
    api, dead, channel, queue, left, forgetful, why
):
    """Somebody reads their queue, or it is being moved."""
    letters = {dead() for _ in range(3)}
    if why == "read":
        channel.basic_consume(dead_queue(queue), lambda *_: None)
        poll(lambda: left() == 0)
    else:
        channel.queue_declare(moving_queue(dead_queue(queue)))
        channel.queue_purge(dead_queue(queue))

    forgetful()

    assert set(ids(api.get("/v1/dead-letters"))) == letters
    channel.queue_delete(moving_queue(dead_queue(queue)))
