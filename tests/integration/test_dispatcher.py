"""Dispatching with real servers: recorded first, published second, and nothing kept of what failed."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import pytest
from pika.exceptions import ChannelClosedByBroker

from taskyard import config
from taskyard.client import Client
from taskyard.dispatcher import Dispatcher
from taskyard.errors import BrokerUnavailable, JobNotFound, QueueMismatch, StoreUnavailable
from taskyard.rabbitmq.confirms import Failure
from taskyard.rabbitmq.outgoing import Outgoing
from taskyard.rabbitmq.publisher import Publisher
from taskyard.rabbitmq.topology import dead_queue
from taskyard.request import parse
from taskyard.store import open_store
from taskyard.store.jobs import Created, NewJob, Unique
from taskyard.task_options import TaskOptions
from tests.contract.jobs import HOUR_MS, claim, counts, heartbeat, new_job, outbox, settle, state
from tests.polling import poll


@pytest.fixture
def away(store):
    """A dispatcher whose broker is away."""
    publisher = Publisher("amqp://guest:guest@127.0.0.1:1/", name="away")
    yield Dispatcher(store, publisher, publish_deadline_s=0.3)
    publisher.close()


def ids(taken) -> list[str]:
    return [properties.message_id for properties, _ in taken]


def test_a_dispatched_job_is_recorded_and_published(dispatcher, store, bodies, queue):
    """Once; and soon it is not in the outbox any more."""
    job = new_job("a", queue=queue, args=[1])

    (created,) = dispatcher.dispatch([job])

    assert (created.is_new, created.state) == (True, "pending")
    ((properties, body),) = bodies(queue)
    assert ("a", "add", job.body.encode()) == (properties.message_id, properties.type, body)
    poll(lambda: not store.vitals().unconfirmed)


def test_a_scheduled_job_is_recorded_only(dispatcher, store, queue):
    """The scheduler publishes it when it is due; no broker is needed."""
    dispatcher.dispatch([new_job("a", queue=queue, delay_ms=HOUR_MS)])

    assert state(store, "a") == "scheduled"
    assert not dispatcher.publisher.is_ready


def test_nothing_is_fine(dispatcher):
    """An empty list is dispatched at once."""
    assert dispatcher.dispatch([]) == []


def test_the_same_id_again_is_published_once(dispatcher, bodies, queue):
    """In a later call as well as in the same one."""
    first = dispatcher.dispatch([new_job("a", queue=queue), new_job("a", queue=queue)])
    second = dispatcher.dispatch([new_job("a", queue=queue), new_job("b", queue=queue)])

    assert [created.is_new for created in first] == [True, False]
    assert [created.is_new for created in second] == [False, True]
    assert ids(bodies(queue)) == ["a", "b"]


def test_without_a_broker_nothing_is_kept(away, store, queue):
    """The caller is told so, and may try again with the same id."""
    with pytest.raises(BrokerUnavailable):
        away.dispatch([new_job("a", queue=queue), new_job("b", queue=queue, delay_ms=HOUR_MS)])

    assert store.get(["a", "b"]) == [None, None]
    assert counts(store) == {}


class Freezing:
    """Stands in for a publisher: RabbitMQ refuses, and the store freezes meanwhile.

    Args:
        redis_server: The store's server.
    """

    def __init__(self, redis_server) -> None:
        self._redis = redis_server

    def publish_each(self, messages, **_) -> dict[int, Failure]:
        self._redis.pause()
        return {0: Failure(BrokerUnavailable("refused"), may_arrive=True)}


def test_where_a_job_cannot_be_taken_back_the_error_is_the_stores(store, redis_server, queue):
    """It may run then: the answer must not say that it does not."""
    dispatcher = Dispatcher(store, Freezing(redis_server))  # type: ignore[arg-type]  # all it calls

    try:
        with pytest.raises(StoreUnavailable):
            dispatcher.dispatch([new_job("a", queue=queue)])
    finally:
        redis_server.resume()


def test_a_job_that_was_there_is_kept_when_a_later_call_fails(away, dispatcher, store, queue):
    """Only what is new is withdrawn."""
    dispatcher.dispatch([new_job("a", queue=queue)])

    with pytest.raises(BrokerUnavailable):
        away.dispatch([new_job("a", queue=queue), new_job("b", queue=queue)])

    assert state(store, "a") == "pending"
    assert store.get(["b"]) == [None]


def test_a_job_that_a_second_caller_asks_for_is_promised_to_neither_without_a_confirm(store, queue):
    """One whose client gave up and asked again with its id: it stays, as both are told."""
    publisher = Publisher("amqp://guest:guest@127.0.0.1:1/", name="away")
    slow = Dispatcher(store, publisher, publish_deadline_s=3)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(slow.dispatch, [new_job("a", queue=queue)])
        poll(lambda: store.get(["a"])[0])
        with pytest.raises(BrokerUnavailable) as again:
            slow.dispatch([new_job("a", queue=queue)])
        with pytest.raises(BrokerUnavailable) as told:
            first.result()

    assert (told.value.taken, again.value.taken) == (["a"], ["a"])
    assert outbox(store) == {"a"}, "it is there for the relay to publish"
    publisher.close()


def test_a_job_that_a_second_caller_has_confirmed_is_promised_to_both(dispatcher, store, queue):
    """Its own message was refused, and the job is safe all the same."""
    publisher = Publisher("amqp://guest:guest@127.0.0.1:1/", name="away")
    slow = Dispatcher(store, publisher, publish_deadline_s=3)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(slow.dispatch, [new_job("a", queue=queue)])
        poll(lambda: store.get(["a"])[0])
        dispatcher.dispatch([new_job("a", queue=queue)])
        poll(lambda: not store.vitals().unconfirmed)

        assert [created.is_new for created in first.result()] == [True]

    publisher.close()


def alike(queue: str, **fields) -> NewJob:
    """Return a job instead of which one like it is given to who asks for it, while that lives."""
    unique = Unique(lock="l", lock_ms=HOUR_MS, policy="existing")
    return new_job(queue=queue, unique=unique, **fields)


@pytest.mark.parametrize("method", ["dispatch", "dispatch_each"])
@pytest.mark.parametrize("again", ["a", "b"], ids=["the same id", "one like it"])
def test_what_was_recorded_and_never_published_is_confirmed_before_it_is_promised(
    dispatcher, store, bodies, queue, method, again
):
    """Whoever recorded it had no answer of the store: its message goes out before the next one is given."""
    store.create([alike(queue, job_id="a", attempts_made=1)])

    (created,) = getattr(dispatcher, method)([alike(queue, job_id=again)])

    assert (created.id, created.is_new) == ("a", False)
    ((properties, _),) = bodies(queue)
    assert (properties.message_id, properties.headers["taskyard-attempt"]) == ("a", 2)
    poll(lambda: not store.vitals().unconfirmed)


def test_what_was_recorded_is_not_promised_while_no_queue_takes_it(
    dispatcher, store, bodies, queue, full_queue
):
    """Of jobs that go together the new ones are taken back; each by itself, it is the only one refused."""
    store.create([new_job("there", queue=full_queue)])

    with pytest.raises(BrokerUnavailable, match="refused") as caught:
        dispatcher.dispatch([new_job("there", queue=full_queue), new_job("new", queue=queue)])
    bodies(queue)
    refused, made = dispatcher.dispatch_each(
        [new_job("there", queue=full_queue), new_job("new", queue=queue)]
    )

    assert caught.value.taken == ["there"]
    assert (type(refused), type(made)) == (BrokerUnavailable, Created)
    assert ids(bodies(queue)) == ["new"]
    assert [state(store, name) for name in ("there", "new")] == ["pending", "pending"]


@pytest.mark.parametrize("delay_ms", [None, HOUR_MS])
def test_what_was_recorded_and_has_replaced_nothing_yet_does_before_it_is_promised(
    dispatcher, store, queue, delay_ms
):
    """Whoever recorded it could not know that it had."""
    first, second = unique_job(queue), unique_job(queue, delay_ms=delay_ms)
    dispatcher.dispatch([first])
    store.create([second])

    (created,) = dispatcher.dispatch([second])

    assert (created.id, created.is_new) == (second.id, False)
    assert state(store, first.id) == "cancelled"


def test_without_a_store_nothing_is_published(dispatcher, channel, queue):
    """Record first: a message without a record could not be followed."""
    dispatcher.publisher.start()
    lost = Dispatcher(
        open_store(config.load(result_backend="redis://127.0.0.1:1/0")), dispatcher.publisher
    )

    with pytest.raises(StoreUnavailable):
        lost.dispatch([new_job("a", queue=queue)])

    with pytest.raises(ChannelClosedByBroker, match="NOT_FOUND"):
        channel.queue_declare(queue, passive=True)


def test_a_queue_with_other_arguments_keeps_nothing(dispatcher, store, channel, queue):
    """The error names it, and the record is withdrawn."""
    channel.queue_declare(queue, durable=True)

    with pytest.raises(QueueMismatch, match=queue):
        dispatcher.dispatch([new_job("a", queue=queue)])

    assert store.get(["a"]) == [None]


@pytest.fixture
def full_queue(channel, dispatcher, full):
    """A queue that is declared, and refuses messages."""
    name = f"full-{time.monotonic_ns()}"
    dispatcher.publisher.publish([Outgoing(queue=name, body=b"{}", id="0")], deadline_s=30)
    with full(name):
        yield name
    channel.queue_delete(name)
    channel.queue_delete(dead_queue(name))


def test_of_jobs_that_go_together_none_runs_if_one_is_refused(
    dispatcher, store, bodies, queue, full_queue
):
    """The messages of the others are out; whoever takes them is told that they are not wanted."""
    heartbeat(store)
    good = [new_job(f"good-{n}", queue=queue) for n in range(10)]

    with pytest.raises(BrokerUnavailable, match="refused") as caught:
        dispatcher.dispatch([*good, new_job("bad", queue=full_queue)])

    assert (caught.value.taken, counts(store)) == ([], {})
    out = ids(bodies(queue))
    assert sorted(out) == sorted(job.id for job in good)
    assert {claim(store, each, queue=queue).kind for each in out} == {"cancelled"}
    assert store.totals().missing == 0


def test_after_a_refusal_the_same_jobs_can_be_dispatched(
    dispatcher, store, bodies, channel, queue, full_queue
):
    """Each runs once, though messages of the first time are still there."""
    heartbeat(store)
    jobs = [new_job("good", queue=queue), new_job("bad", queue=full_queue)]
    with pytest.raises(BrokerUnavailable):
        dispatcher.dispatch(jobs)
    channel.queue_purge(full_queue)

    assert [created.is_new for created in dispatcher.dispatch(jobs)] == [True, True]

    out = ids(bodies(queue))
    verdicts = [claim(store, each, queue=queue, owner=f"w{n}").kind for n, each in enumerate(out)]
    assert (out, verdicts) == (["good"] * 2, ["run", "leased"])
    assert ids(bodies(full_queue)) == ["bad"]


def test_a_job_of_a_failed_call_that_runs_by_then_is_told(store, queue):
    """It is not taken back, so the error names it; the others are."""
    publisher = Publisher("amqp://guest:guest@127.0.0.1:1/", name="away")
    slow = Dispatcher(store, publisher, publish_deadline_s=3)
    heartbeat(store)

    with ThreadPoolExecutor(1) as pool:
        jobs = [new_job("a", queue=queue), new_job("b", queue=queue)]
        call = pool.submit(slow.dispatch, [*jobs, new_job("c", queue=queue, delay_ms=HOUR_MS)])
        poll(lambda: store.get(["c"])[0])
        assert claim(store, "a", queue=queue).kind == "run"
        with pytest.raises(BrokerUnavailable) as caught:
            call.result()

    assert caught.value.taken == ["a"]
    assert [job and job.state for job in store.get(["a", "b", "c"])] == ["running", None, None]
    publisher.close()


def test_what_became_of_jobs_while_their_call_failed_is_minded(store, queue):
    """One that ran and waits for its retry stays; one that came due meanwhile does not run."""
    publisher = Publisher("amqp://guest:guest@127.0.0.1:1/", name="away")
    slow = Dispatcher(store, publisher, publish_deadline_s=3)
    heartbeat(store)

    with ThreadPoolExecutor(1) as pool:
        jobs = [new_job("a", queue=queue), new_job("b", queue=queue)]
        call = pool.submit(slow.dispatch, [*jobs, new_job("c", queue=queue, delay_ms=1)])
        poll(lambda: store.get(["c"])[0])
        settle(store, "a", claim(store, "a", queue=queue).token, "retrying")

        def are_pending() -> bool:
            store.take_due(10)
            return {state(store, "a"), state(store, "c")} == {"pending"}

        poll(are_pending)
        with pytest.raises(BrokerUnavailable) as caught:
            call.result()

    assert caught.value.taken == ["a"]
    verdicts = [claim(store, "a", 2, queue=queue), claim(store, "c", queue=queue)]
    assert [verdict.kind for verdict in verdicts] == ["run", "cancelled"]
    publisher.close()


def test_a_call_whose_jobs_all_run_by_then_has_succeeded(store, queue):
    """RabbitMQ had taken their messages, whatever became of the confirms."""
    publisher = Publisher("amqp://guest:guest@127.0.0.1:1/", name="away")
    slow = Dispatcher(store, publisher, publish_deadline_s=3)
    heartbeat(store)

    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(
            slow.dispatch,
            [new_job("a", queue=queue), new_job("b", queue=queue, delay_ms=HOUR_MS)],
        )
        poll(lambda: store.get(["b"])[0])
        assert claim(store, "a", queue=queue).kind == "run"
        told = call.result()

    assert [created.is_new for created in told] == [True, True]
    assert [state(store, each) for each in ("a", "b")] == ["running", "scheduled"]
    publisher.close()


def test_each_by_itself_is_kept_or_refused(dispatcher, store, bodies, channel, queue, full_queue):
    """A queue that is full, is another's own, or has other arguments keeps no job from another."""
    other, locked = f"{queue}-other", f"{queue}-locked"
    channel.queue_declare(other, durable=True)
    channel.queue_declare(locked, exclusive=True)
    wanted = {"a": queue, "b": full_queue, "c": other, "d": locked, "e": queue}

    outcomes = dispatcher.dispatch_each([new_job(name, queue=to) for name, to in wanted.items()])

    assert [type(each) for each in outcomes] == [
        Created,
        BrokerUnavailable,
        QueueMismatch,
        BrokerUnavailable,
        Created,
    ]
    assert counts(store) == {queue: {"pending": 2}}
    assert ids(bodies(queue)) == ["a", "e"]
    for each in (other, dead_queue(other)):
        channel.queue_delete(each)


def test_a_queue_that_cannot_be_declared_keeps_all_messages_back(
    dispatcher, store, bodies, channel, queue
):
    """Of jobs that go together: nothing has to be taken back then."""
    other = f"{queue}-other"
    channel.queue_declare(other, durable=True)

    with pytest.raises(QueueMismatch):
        dispatcher.dispatch([new_job("a", queue=queue), new_job("b", queue=other)])

    assert counts(store) == {}
    with suppress(ChannelClosedByBroker):  # it may not even be there
        assert bodies(queue) == []


def unique_job(queue: str, **fields) -> NewJob:
    """Return a job that replaces one like it."""
    return new_job(
        queue=queue, unique=Unique(lock="l", lock_ms=HOUR_MS, policy="replace"), **fields
    )


def test_a_job_is_replaced_by_what_is_safe(dispatcher, store, queue):
    """When the caller is told that the new one is there, the other is cancelled."""
    jobs = [unique_job(queue), unique_job(queue, delay_ms=HOUR_MS), unique_job(queue)]

    for job in jobs:
        dispatcher.dispatch([job])

    assert [state(store, job.id) for job in jobs] == ["cancelled", "cancelled", "pending"]


def test_a_submission_that_is_refused_replaces_nothing(dispatcher, store, queue, full_queue):
    """Neither alone nor with others."""
    first = unique_job(queue)
    dispatcher.dispatch([first])

    for jobs in ([unique_job(full_queue)], [unique_job(queue), new_job(queue=full_queue)]):
        with pytest.raises(BrokerUnavailable):
            dispatcher.dispatch(jobs)
    dispatcher.dispatch_each([unique_job(full_queue)])

    assert counts(store) == {queue: {"pending": 1}}
    assert state(store, first.id) == "pending"


def test_a_replacing_that_was_broken_off_is_ended_by_the_relay(dispatcher, store, queue):
    """Who submitted the new one died between the record and the confirm, or before it could say so."""
    jobs = [unique_job(queue), unique_job(queue)]
    dispatcher.dispatch([jobs[0]])
    store.create([jobs[1]])

    poll(lambda: dispatcher.publish_each(store.unpublished(0, 10)) == {} and not outbox(store))

    assert [state(store, job.id) for job in jobs] == ["cancelled", "pending"]


def test_later_attempts_are_published_apart(dispatcher, store, bodies, channel, queue, full_queue):
    """Those that are confirmed leave the outbox, and do not go out again with those that are not."""
    store.create([new_job("a", queue=queue), new_job("b", queue=full_queue)])

    failures = dispatcher.publish_each(store.unpublished(0, 10))

    assert [type(each.error) for each in failures.values()] == [BrokerUnavailable]
    assert outbox(store) == {"b"}
    assert ids(bodies(queue)) == ["a"]


def test_many_threads_dispatch_at_once(dispatcher, store, bodies, queue):
    """Each job of each is recorded and published once."""

    def dispatch(thread: int) -> None:
        for number in range(50):
            dispatcher.dispatch([new_job(f"{thread}-{number}", queue=queue)])

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(dispatch, range(16)))

    taken = ids(bodies(queue))
    assert (len(taken), len(set(taken))) == (800, 800)
    assert counts(store) == {queue: {"pending": 800}}
    poll(lambda: not store.vitals().unconfirmed)


def test_a_later_attempt_is_published_with_its_number(dispatcher, store, bodies, queue):
    """What `take_due` or `unpublished` gave."""
    store.create([new_job("a", queue=queue, attempts_made=2)])

    dispatcher.publish(store.unpublished(0, 10))

    ((properties, body),) = bodies(queue)
    assert properties.headers["taskyard-attempt"] == 3
    heartbeat(store)
    assert claim(store, "a", 3, queue=queue).kind == "run"
    assert outbox(store) == set()
    assert b'"attempt":3' in body


def test_closing_finishes_what_is_under_way(settings, store, channel, queue):
    """The outbox is cleaned before the connections go."""
    dispatcher = Dispatcher(open_store(settings), Publisher(settings.broker_url))
    dispatcher.dispatch([new_job("a", queue=queue)])

    dispatcher.close()
    dispatcher.close()

    assert outbox(store) == set()
    assert channel.queue_declare(dead_queue(queue), passive=True).method.message_count == 0


FIRST_CALL = """
import sys
from taskyard import task

@task
def add(a: int, b: int) -> int: ...

before = set(sys.modules)
add.delay(1, 2)
print(*(set(sys.modules) - before))
"""


def test_the_first_call_of_a_process_imports_no_library(settings):
    """Importing takes longer than to connect; what Python itself looks up is little."""
    env = {
        **os.environ,
        "BROKER_URL": settings.broker_url,
        "RESULT_BACKEND": settings.result_backend,
        "KEY_PREFIX": settings.key_prefix,
    }

    run = subprocess.run(
        [sys.executable, "-c", FIRST_CALL], env=env, capture_output=True, text=True, check=True
    )

    imported = {name.partition(".")[0] for name in run.stdout.split()}
    assert imported <= sys.stdlib_module_names - {"asyncio"}


def test_a_program_is_warned_once_where_no_worker_has_ever_been(settings, store, queue, caplog):
    """Its servers may be those of something else; what names a job that is not there says which they are."""
    with closing(Client(settings)) as client:
        options = TaskOptions(queue=queue)
        for _ in range(2):
            client.submit(options, parse({"task": "any"}))
        missing = client.handle("nobody")
        with pytest.raises(JobNotFound) as caught:
            missing.get(timeout=0)

    place = f"{settings.result_backend} (key prefix {settings.key_prefix!r})"
    warned = [each.getMessage() for each in caplog.records if "no worker" in each.getMessage()]
    assert warned == [f"no worker has ever been at {place}: is it the right store?"]
    assert f"no job 'nobody' at {place}" in str(caught.value)

    caplog.clear()
    store.declare([], [queue])
    with closing(Client(settings)) as client:
        client.submit(options, parse({"task": "any"}))
    assert not [each for each in caplog.records if "no worker" in each.getMessage()]
