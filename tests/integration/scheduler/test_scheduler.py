"""The scheduler's chores with real servers: each job is moved once, and none is left behind."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from msgspec.structs import replace
from prometheus_client import REGISTRY

from services.scheduler.chores.dispatch_due import DispatchDue
from services.scheduler.chores.prune import Prune
from services.scheduler.chores.reclaim import Reclaim
from services.scheduler.chores.relay import Relay
from taskyard.catalogue import describe
from taskyard.client import defaults
from taskyard.dispatcher import Dispatcher
from taskyard.errors import BrokerUnavailable, StoreUnavailable
from taskyard.job import JobError, rfc3339
from taskyard.message import decode
from taskyard.rabbitmq.publisher import Publisher
from taskyard.store.jobs import NewJob
from taskyard.task import Task
from taskyard.task_options import TaskOptions
from tests.contract.jobs import HOUR_MS, claim, get, heartbeat, new_job, outbox, settle, state
from tests.polling import poll


@pytest.fixture
def ready_publisher(publisher):
    """A publisher that is connected."""
    publisher.start()
    poll(lambda: publisher.is_ready)
    return publisher


@pytest.fixture
def due_chore(dispatcher, ready_publisher):
    return DispatchDue(dispatcher)


def waiting_jobs(queue: str, count: int, *, delay_ms: int) -> list[NewJob]:
    return [new_job(f"{queue}-{n}", queue=queue, delay_ms=delay_ms) for n in range(count)]


def start_all(store, queue, *jobs: NewJob, owner="w1") -> list[int]:
    """Record and start jobs, as a worker would; return their tokens."""
    heartbeat(store, owner)
    store.create(jobs)
    return [claim(store, job.id, owner=owner, queue=queue).token for job in jobs]


def error_of(store, job_id: str) -> JobError:
    """Return the error of a job that has one."""
    error = get(store, job_id).error
    assert error is not None
    return error


# dispatch_due


def test_a_due_job_is_published(store, due_chore, bodies, queue):
    """It becomes pending, its message is in its queue, and it is not in the outbox."""
    store.create(waiting_jobs(queue, 1, delay_ms=1))

    poll(lambda: due_chore.run_once() is None and state(store, f"{queue}-0") == "pending")

    ((properties, body),) = bodies(queue)
    assert (
        properties.message_id,
        properties.type,
        properties.delivery_mode,
    ) == (f"{queue}-0", "add", 2)
    assert decode(body).options.attempt == 1
    assert outbox(store) == set()


def test_a_retry_carries_its_attempt(store, due_chore, bodies, queue):
    """In the body and in a header."""
    (token,) = start_all(store, queue, new_job("a", queue=queue))
    settle(store, "a", token, "retrying")

    due_chore.run_once()

    ((properties, body),) = bodies(queue)
    assert 2 == decode(body).options.attempt == properties.headers["taskyard-attempt"]


def test_it_tells_when_the_next_job_is_due(store, due_chore, queue):
    """So that it can be woken in time; None if nothing waits."""
    assert due_chore.run_once() is None
    store.create([new_job("a", queue=queue, delay_ms=HOUR_MS)])

    next_s = due_chore.run_once()

    assert next_s is not None
    assert 3500 < next_s <= 3600


def test_nothing_is_taken_while_the_broker_is_away(store, settings, queue):
    """Waiting jobs keep waiting, in their order."""
    away = Dispatcher(store, Publisher("amqp://guest:guest@127.0.0.1:1/"))
    store.create(waiting_jobs(queue, 1, delay_ms=1))
    poll(lambda: store.take_due(0)[1] == 0)

    DispatchDue(away).run_once()

    assert state(store, f"{queue}-0") == "scheduled"
    away.close()


def test_a_queue_out_of_order_does_not_hold_up_the_others(store, due_chore, channel, bodies, queue):
    """A queue that exists with other arguments gets nothing; its jobs stay in the outbox."""
    bad = f"{queue}-bad"
    channel.queue_declare(bad, durable=True)  # without priorities
    jobs = [new_job("good", queue=queue, delay_ms=1), new_job("bad", queue=bad, delay_ms=1)]
    store.create(jobs)
    poll(lambda: store.take_due(0)[1] == 0)

    poll(lambda: due_chore.run_once() is None and store.take_due(0)[1] is None)

    assert [properties.message_id for properties, _ in bodies(queue)] == ["good"]
    assert outbox(store) == {"bad"}
    channel.queue_delete(bad)
    channel.queue_delete(f"{bad}.dead")


# relay


def test_a_job_that_was_never_published_is_published(
    store, dispatcher, ready_publisher, bodies, queue
):
    """Its submitter died after recording it."""
    store.create([new_job("a", queue=queue), new_job("b", queue=queue)])

    Relay(dispatcher, older_than_s=0).run_once()

    assert sorted(properties.message_id for properties, _ in bodies(queue)) == ["a", "b"]
    assert outbox(store) == set()


def test_a_job_is_given_time_to_be_confirmed(store, dispatcher, ready_publisher, queue):
    """A submission that is under way is left alone."""
    store.create([new_job("a", queue=queue)])

    Relay(dispatcher, older_than_s=3600).run_once()

    assert outbox(store) == {"a"}


# reclaim


@pytest.fixture
def reclaim(store, ready_publisher, settings):
    return Reclaim(store, ready_publisher, settings, random.Random(1))


def test_the_job_of_a_lost_worker_is_retried(store, reclaim, queue):
    """At once, with the worker's end on the attempt."""
    start_all(store, queue, new_job("a", queue=queue))
    store.end_lease("w1", "signal 9")

    reclaim.run_once()

    job, error = get(store, "a"), error_of(store, "a")
    assert (job.state, error.reason, error.type) == ("retrying", "worker_lost", "WorkerLost")
    assert "signal 9" in error.message
    assert job.attempts[0].outcome == "lost"
    assert [ready.id for ready in store.take_due(10)[0]] == ["a"]


def test_the_waits_that_its_task_announces_hold_for_a_lost_job(
    store, ready_publisher, settings, queue
):
    """The scheduler retries it no sooner than a worker would."""
    add: Task[[], None] = Task(lambda: None, "add", TaskOptions())
    announced = defaults(TaskOptions(queue=queue, retry_min_s=100, retry_max_s=120), settings)
    store.declare([describe(add, announced)], [queue])
    overdue = replace(settings, task_timeout=-1)
    start_all(store, queue, new_job("a", queue=queue))
    store.end_lease("w1", "signal 9")

    Reclaim(store, ready_publisher, overdue, random.Random(1)).run_once()

    job = get(store, "a")
    assert (job.state, error_of(store, "a").reason) == ("retrying", "timeout")
    assert job.run_at is not None
    ended_at = job.attempts[0].finished_at
    assert ended_at is not None
    assert 100_000 <= job.run_at - ended_at <= 120_000


def test_a_job_that_kills_its_workers_is_buried(store, reclaim, settings, dead_letters, queue):
    """After `max_crashes` starts it is a dead letter, whose headers say why."""
    job = new_job("a", queue=queue)
    store.create([job])
    for attempt in range(1, settings.max_crashes + 1):
        owner = f"w{attempt}"
        heartbeat(store, owner)
        claim(store, "a", attempt, owner=owner, queue=queue)
        store.end_lease(owner, "signal 11")
        reclaim.run_once()
        store.take_due(10)

    assert (state(store, "a"), error_of(store, "a").reason) == ("failed", "crash_loop")
    ((properties, body),) = dead_letters(queue)
    assert tuple(
        properties.headers[f"taskyard-{name}"] for name in ("reason", "attempts", "queue")
    ) == ("crash_loop", settings.max_crashes, queue)
    first_failed_at, failed_at = (
        properties.headers[f"taskyard-{name}"] for name in ("first-failed-at", "failed-at")
    )
    assert rfc3339(get(store, "a").attempts[0].finished_at) == first_failed_at <= failed_at
    assert (decode(job.body).args, 3) == (decode(body).args, decode(body).options.attempt)


def test_a_dead_letter_comes_before_its_job_is_failed(store, settings, dead_letters, queue):
    """While RabbitMQ is away the job stays lost; it is written, once, when it is back."""
    away = Publisher("amqp://guest:guest@127.0.0.1:1/", name="away")
    quick = replace(settings, max_crashes=1, publish_deadline_s=0.1)
    start_all(store, queue, new_job("a", queue=queue))
    store.end_lease("w1", "signal 9")

    with pytest.raises(BrokerUnavailable):
        Reclaim(store, away, quick, random.Random(1)).run_once()
    assert state(store, "a") == "running"
    with_broker = Publisher(settings.broker_url)
    patient = replace(quick, publish_deadline_s=30)
    Reclaim(store, with_broker, patient, random.Random(1)).run_once()

    assert state(store, "a") == "failed"
    assert error_of(store, "a").message.count("reclaim") == 0
    away.close()
    with_broker.close()


def test_jobs_that_can_be_retried_do_not_wait_for_dead_letters(store, settings, queue):
    """Of a lost worker's jobs, those with retries left go on even while RabbitMQ is away."""
    away = Publisher("amqp://guest:guest@127.0.0.1:1/", name="away")
    quick = replace(settings, max_crashes=2, publish_deadline_s=0.1)
    start_all(store, queue, new_job("crashed", queue=queue))
    store.end_lease("w1", "signal 9")
    Reclaim(store, away, quick, random.Random(1)).run_once()
    store.take_due(10)
    heartbeat(store, "w2")
    claim(store, "crashed", 2, owner="w2", queue=queue)
    start_all(store, queue, new_job("fresh", queue=queue), owner="w3")
    store.end_lease("w2", "signal 9")
    store.end_lease("w3", "signal 9")

    with pytest.raises(BrokerUnavailable):
        Reclaim(store, away, quick, random.Random(1)).run_once()

    assert (state(store, "crashed"), state(store, "fresh")) == ("running", "retrying")
    away.close()


class Deaf:
    """A store whose first answer to `lost` is lost on its way."""

    def __init__(self, store):
        self._store = store
        self._has_heard = False

    def __getattr__(self, name):
        return getattr(self._store, name)

    def lost(self, *args, **fields):
        answer = self._store.lost(*args, **fields)
        if not self._has_heard:
            self._has_heard = True
            raise StoreUnavailable("no answer")
        return answer


def test_what_was_handed_over_by_a_lost_answer_is_handed_over_again(
    store, ready_publisher, settings, queue
):
    """Though the reclaimer's lease is made longer all the time, as it takes other jobs."""
    reclaim = Reclaim(Deaf(store), ready_publisher, settings, random.Random(1))
    start_all(store, queue, new_job("unheard", queue=queue))
    store.end_lease("w1", "signal 9")
    with pytest.raises(StoreUnavailable):
        reclaim.run_once()
    start_all(store, queue, new_job("next", queue=queue), owner="w2")
    store.end_lease("w2", "signal 9")

    reclaim.run_once()

    assert (state(store, "unheard"), state(store, "next")) == ("retrying", "retrying")
    assert "signal 9" in error_of(store, "unheard").message


def test_jobs_of_a_process_that_died_are_tried_alone(store, reclaim, settings, queue):
    """However often: nobody is blamed as long as there were others."""
    store.create([new_job(name, queue=queue) for name in ("a", "b")])
    for attempt in range(1, settings.max_crashes + 2):
        owner = f"w{attempt}"
        heartbeat(store, owner)
        for name in ("a", "b"):
            claim(store, name, attempt, owner=owner, queue=queue, is_alone=True)
        store.end_lease(owner, "signal 11", is_own_death=True)
        reclaim.run_once()

    for name in ("a", "b"):
        job = get(store, name)
        assert (job.state, job.reason, job.crashes) == ("retrying", "suspect", 0)
        assert "with 1 other job" in error_of(store, name).message


@pytest.mark.parametrize(
    ("tampered", "reason"),
    [
        ({"body": b"{"}, "undecodable"),
        ({"body": b"\xff\xfe"}, "undecodable"),
        ({"body": b"{}"}, "invalid"),
        ({"body": None}, "undecodable"),
        ({"started_at": None}, "worker_lost"),
        ({"started_at": b"soon", "attempt": b"one"}, "worker_lost"),
        ({"worker": b"\xff", "attempt": None}, "worker_lost"),
        (dict.fromkeys(["crashes", "losses", "company", "ran_ms"], b"x"), "worker_lost"),
        (dict.fromkeys(["body", "queue", "attempt", "worker", "started_at"]), "undecodable"),
    ],
)
def test_a_record_that_cannot_be_read_does_not_hold_up_the_others(
    store, reclaim, dead_letters, settings, queue, tampered, reason
):
    """It ends in a place with a reason, its message byte for byte; they run again."""
    jobs = [new_job(name, queue=queue) for name in ("good", "bad", "other")]
    start_all(store, queue, *jobs)
    key = f"{settings.key_prefix}j:bad"
    with redis.Redis.from_url(settings.result_backend) as server:
        for field, value in tampered.items():
            server.hdel(key, field) if value is None else server.hset(key, field, value)
        store.end_lease("w1", "signal 9")

        reclaim.run_once()

        assert {state(store, name) for name in ("good", "other")} == {"retrying"}
        found, error = server.hmget(key, "state", "a:1")
        assert found == (b"retrying" if reason == "worker_lost" else b"failed")
        assert f'"reason":"{reason}"'.encode() in error
    if reason != "worker_lost":
        ((properties, body),) = dead_letters(queue if "queue" not in tampered else "default")
        assert properties.headers["taskyard-reason"] == reason
        assert body == (tampered["body"] or b"")
        assert properties.message_id == "bad"


# prune


def pruned() -> float:
    """Return how many records have been removed."""
    return REGISTRY.get_sample_value("taskyard_jobs_pruned_total") or 0.0


def test_records_go_when_their_time_is_over(store, queue):
    """A full step asks for another at once."""
    jobs = [new_job(queue=queue, delay_ms=HOUR_MS) for _ in range(1001)]
    store.create(jobs)
    store.cancel([job.id for job in jobs], 0)
    before = pruned()

    chore = Prune(store)

    assert [chore.run_once(), chore.run_once()] == [0, None]
    assert pruned() - before == 1001
    assert store.get([jobs[0].id]) == [None]


def test_many_schedulers_reclaim_each_lost_job_once(settings, store, ready_publisher, queue):
    """Eight at once write one outcome for each job."""
    jobs = [new_job(queue=queue) for _ in range(200)]
    start_all(store, queue, *jobs)
    store.end_lease("w1", "signal 9")

    def run_once(_):
        return Reclaim(store, ready_publisher, settings, random.Random(1)).run_once()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run_once, range(8)))

    assert {job.state for job in store.get([job.id for job in jobs])} == {"retrying"}
    assert {len(job.attempts) for job in store.get([job.id for job in jobs])} == {1}
