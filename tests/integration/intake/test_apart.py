"""One submission that fails by itself, for whatever reason: it waits, and all others become jobs."""

import gc
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
import redis
from prometheus_client import REGISTRY

from services.scheduler.intake.chore import Intake
from services.scheduler.intake.received import AnsweredSubmission, ReceivedSubmission
from taskyard import task
from taskyard.catalogue import describe
from taskyard.dispatcher import Dispatcher
from taskyard.errors import TaskyardError, Unstorable
from taskyard.job_creation import Defaults
from taskyard.rabbitmq.publisher import Publisher
from taskyard.rabbitmq.topology import INTAKE_QUEUE, dead_queue
from taskyard.store.jobs import Created, NewJob
from tests.contract.jobs import new_job
from tests.polling import poll


@task
def draw(number: int = 0) -> int:
    """Give back the number."""
    return number


class Clock:
    """A time that stands still until it is put on."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Door:
    """Submissions that have come, and what was answered."""

    def __init__(self) -> None:
        self.waiting: list[ReceivedSubmission] = []
        self.answers: dict[str, dict[str, object]] = {}
        self._tag = 0

    def put(self, job_id: str, *, queue: str = "", **fields: object) -> None:
        """Have a submission come."""
        self._tag += 1
        body = json.dumps({"task": draw.name, **fields}).encode()
        self.waiting.append(
            ReceivedSubmission(
                tag=self._tag,
                channel=None,  # type: ignore[arg-type]  # none is needed
                body=body,
                id=job_id,
                routing_key=queue,
                reply_to="reply.here",
            )
        )

    def take(self, limit: int) -> list[ReceivedSubmission]:
        taken, self.waiting = self.waiting[:limit], self.waiting[limit:]
        return taken

    def put_back(self, submissions: Sequence[ReceivedSubmission]) -> None:
        self.waiting[:0] = submissions

    def make_room(self, waiting: int, waiting_bytes: int) -> None:
        """There always is."""

    def ours(self, submissions: Iterable[ReceivedSubmission]) -> list[ReceivedSubmission]:
        return list(submissions)

    def finish(self, answers: Sequence[AnsweredSubmission]) -> None:
        self.answers |= {each.submission.id: json.loads(each.reply) for each in answers}


@pytest.fixture
def clock() -> Clock:
    """The time."""
    return Clock()


@pytest.fixture
def door() -> Door:
    """Where submissions come from."""
    return Door()


@pytest.fixture
def known(store, queue):
    """The queues that workers work on; the first is the task's own."""
    queues = [queue, f"{queue}-other"]
    defaults = Defaults(queue=queue, priority=4, max_retries=2, timeout_s=60)
    store.declare([describe(draw, defaults)], queues)
    return queues


@pytest.fixture
def intake(dispatcher, door, settings, clock, known) -> Intake:
    """The intake, its publisher connected."""
    dispatcher.publisher.start()
    poll(lambda: dispatcher.publisher.is_ready)
    return Intake(dispatcher, door, settings, clock=clock)


@pytest.fixture
def server(settings):
    """The store's server."""
    with redis.Redis.from_url(settings.result_backend, decode_responses=True) as client:
        yield client


def sample(name: str, **labels: str) -> float:
    """Return the value of a metric of this process."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


def accepted(job_id: str) -> dict[str, object]:
    """Return the answer to a submission that became this job."""
    return {"status": "accepted", "id": job_id}


def test_one_at_whose_record_the_store_fails_rests(intake, door, clock, store, server, key_prefix):
    """Those with it and behind it become jobs; it does when somebody has looked after the record."""
    server.set(f"{key_prefix}j:bad", "no record")
    for name in ("first", "bad", "last"):
        door.put(name)
    intake.run_once()

    assert door.answers == {name: accepted(name) for name in ("first", "last")}
    assert sample("taskyard_resting", what="submission") == 1
    server.delete(f"{key_prefix}j:bad")
    intake.run_once()
    assert "bad" not in door.answers
    clock.now_s += 1
    intake.run_once()
    assert door.answers["bad"] == accepted("bad")
    assert sample("taskyard_resting", what="submission") == 0
    assert [job and job.state for job in store.get(["first", "bad", "last"])] == ["pending"] * 3


def test_more_than_can_rest_are_refused(intake, door, server, key_prefix, bodies):
    """And kept with the reason: else they would hold up the others."""
    names = [f"bad-{n}" for n in range(260)]
    for name in names:
        server.set(f"{key_prefix}j:{name}", "no record")
        door.put(name)

    while door.waiting:
        intake.run_once()
    door.put("good")
    intake.run_once()

    assert door.answers.pop("good") == accepted("good")
    assert [answer["code"] for answer in door.answers.values()] == ["store_fault"] * 10
    letters = bodies(dead_queue(INTAKE_QUEUE))
    assert {p.headers["taskyard-reason"] for p, _ in letters} == {"store_fault"}


def test_one_whose_wish_for_its_outcome_cannot_be_noted_rests(
    intake, door, clock, server, key_prefix
):
    """Its job is made, but it is answered once its outcome is sure to be told; others are at once."""
    server.hset(f"{key_prefix}asked", "bad", "{")
    for name in ("first", "bad", "last"):
        door.put(name, reply="result")
    intake.run_once()

    assert door.answers == {name: accepted(name) for name in ("first", "last")}
    server.hdel(f"{key_prefix}asked", "bad")
    clock.now_s += 1
    intake.run_once()
    assert door.answers["bad"] == accepted("bad")
    assert server.hkeys(f"{key_prefix}asked") == ["first", "last", "bad"]


class Body(bytes):
    """A body that says when it leaves the memory."""

    gone = 0

    def __del__(self) -> None:
        Body.gone += 1


@pytest.mark.parametrize("body", [b'{"task": "none"}', b"[1, 2]", b"[1, 2", b"[[" * 40_000])
def test_what_is_refused_leaves_the_memory_at_once(intake, door, bodies, body):
    """Not once the collector of garbage looks at all there is, which is seldom: bodies may be large."""
    Body.gone = 0
    door.put("bad")
    door.waiting = [msgspec.structs.replace(door.waiting.pop(), body=Body(body))]
    gc.disable()
    try:
        intake.run_once()
        poll(lambda: Body.gone, 5)
    finally:
        gc.enable()

    assert door.answers["bad"]["status"] == "refused"
    assert Body.gone == 1
    assert len(bodies(dead_queue(INTAKE_QUEUE))) == 1


class Picky(Dispatcher):
    """A dispatcher whose store has no form for jobs of some ids, as it were."""

    def dispatch_each(self, jobs: Sequence[NewJob]) -> list[Created | TaskyardError]:
        if any(job.id == "odd" for job in jobs):
            raise Unstorable("the store cannot take this")
        return super().dispatch_each(jobs)


def test_one_that_has_no_form_in_the_store_is_refused(
    dispatcher, door, settings, known, bodies, publisher
):
    """It is nobody's to mend; those with it become jobs."""
    picky = Picky(dispatcher.store, publisher, publish_deadline_s=settings.publish_deadline_s)
    for name in ("first", "odd", "last"):
        door.put(name)

    Intake(picky, door, settings).run_once()

    picky.close()
    assert [door.answers.pop(name) for name in ("first", "last")] == [
        accepted("first"),
        accepted("last"),
    ]
    assert (door.answers["odd"]["status"], door.answers["odd"]["code"]) == ("refused", "unstorable")
    ((properties, _),) = bodies(dead_queue(INTAKE_QUEUE))
    assert properties.headers["taskyard-reason"] == "invalid"


def test_a_refused_one_that_can_be_kept_nowhere_rests(intake, door, clock, full, channel):
    """The queue of refused ones takes nothing; those with it become jobs, and it is refused later."""
    door.put("first-refused", colour="blue")
    intake.run_once()
    with full(dead_queue(INTAKE_QUEUE)) as empty:
        door.put("refused", colour="blue")
        door.put("good")
        intake.run_once()

        assert door.answers.pop("good") == accepted("good")
        assert list(door.answers) == ["first-refused"]
        empty()
    clock.now_s += 1
    poll(lambda: intake.run_once() or "refused" in door.answers)
    channel.queue_purge(dead_queue(INTAKE_QUEUE))


@pytest.fixture
def user(rabbit, broker_url) -> Iterator[tuple[str, Callable[[str], None]]]:
    """A user's URL, and what gives it the right to write to exchanges whose names match."""
    name = "restricted"
    rabbit.control("add_user", name, name)

    def permit(pattern: str) -> None:
        rabbit.control("set_permissions", name, ".*", pattern, ".*")

    permit(".*")
    place = urlsplit(broker_url)
    yield place._replace(netloc=f"{name}:{name}@{place.hostname}:{place.port}").geturl(), permit
    rabbit.control("delete_user", name)


@pytest.mark.usefixtures("known")
def test_without_the_right_to_keep_refused_ones_all_others_become_jobs(
    store, publisher, door, settings, clock, user, bodies
):
    """RabbitMQ closes the channel of all for such a letter: it is tried with one, ever more rarely."""
    url, permit = user
    door.put("first")
    door.put("first-refused", colour="blue")
    Intake(Dispatcher(store, publisher), door, settings).run_once()  # now all queues are there
    permit(r"^(?!taskyard\.dead$).*$")
    dispatcher = Dispatcher(store, Publisher(url), publish_deadline_s=30)
    intake = Intake(dispatcher, door, settings, clock=clock)
    failures = sample("taskyard_publish_failures_total")
    for names in (["refused-1", "refused-2", "good"], ["refused-3"], ["better"]):
        for name in names:
            door.put(name, **({"colour": "blue"} if name.startswith("refused") else {}))
        intake.run_once()

    assert list(door.answers) == ["first", "first-refused", "good", "better"]
    assert sample("taskyard_publish_failures_total") - failures == 1
    assert sample("taskyard_resting", what="queue of submissions") == 1
    dispatcher.publisher.close()
    bodies(dead_queue(INTAKE_QUEUE))


def test_one_whose_job_was_recorded_and_never_published_waits_for_its_queue(
    intake, door, clock, store, known, full, bodies, channel
):
    """As where the store failed just as the job was to be taken back: it is accepted once it is confirmed."""
    queue = known[1]
    door.put("first", queue=queue)
    intake.run_once()
    with full(queue) as empty:
        store.create([new_job("there", queue=queue)])
        door.put("there", queue=queue)
        intake.run_once()

        assert list(door.answers) == ["first"]
        empty()
    door.put("behind", queue=queue)
    clock.now_s += 1
    for _ in range(2):
        intake.run_once()

    assert door.answers == {name: accepted(name) for name in ("first", "there", "behind")}
    assert {properties.message_id for properties, _ in bodies(queue)} >= {"there", "behind"}
    for each in (queue, dead_queue(queue)):
        channel.queue_delete(each)


def test_a_queue_is_open_again_only_once_it_has_taken_a_message(
    intake, door, clock, store, known, full, channel
):
    """A repeated submission of a job that is there publishes nothing, so it says nothing of its queue."""
    queue = known[1]
    door.put("there", queue=queue)
    intake.run_once()
    poll(lambda: not store.vitals().unconfirmed)
    with full(queue):
        door.put("a", queue=queue)
        intake.run_once()
        for name in ("there", "b"):
            door.put(name, queue=queue)
        for pause_s in (0, 1):
            clock.now_s += pause_s
            intake.run_once()
        door.answers.clear()

        clock.now_s += 2
        intake.run_once()
        failures = sample("taskyard_publish_failures_total")
        intake.run_once()

        assert door.answers == {"there": accepted("there")}
        assert sample("taskyard_publish_failures_total") == failures
    for each in (queue, dead_queue(queue)):
        channel.queue_delete(each)


def test_what_waits_for_a_queue_that_opens_meanwhile_goes_on(
    intake, door, clock, known, full, channel
):
    """One of a pass tries the queue, the other is to wait for it: that it need not is known only then."""
    queue = known[1]
    door.put("there", queue=queue)
    intake.run_once()
    with full(queue) as empty:
        door.put("tries", queue=queue)
        intake.run_once()
        empty()
    door.put("waits", queue=queue)
    clock.now_s += 1
    for _ in range(2):
        intake.run_once()

    assert door.answers == {name: accepted(name) for name in ("there", "tries", "waits")}
    for each in (queue, dead_queue(queue)):
        channel.queue_delete(each)


class Jammed(Door):
    """A door that takes no answers at first."""

    def __init__(self) -> None:
        super().__init__()
        self.is_jammed = True

    def finish(self, answers: Sequence[AnsweredSubmission]) -> None:
        if self.is_jammed:
            raise RuntimeError("jammed")
        super().finish(answers)


@pytest.mark.usefixtures("known")
def test_what_a_pass_has_not_concluded_goes_back(dispatcher, settings, clock, server, key_prefix):
    """Whatever it fails at: what was to be answered comes again, what was put aside rests."""
    door: Any = Jammed()
    intake = Intake(dispatcher, door, settings, clock=clock)
    server.set(f"{key_prefix}j:bad", "no record")
    for name in ("first", "bad", "last"):
        door.put(name)
    with pytest.raises(RuntimeError):
        intake.run_once()

    assert [each.id for each in door.waiting] == ["first", "last"]
    door.is_jammed = False
    intake.run_once()
    assert door.answers == {name: accepted(name) for name in ("first", "last")}


def test_large_ones_are_taken_a_few_at_a_time(intake, door, bodies):
    """So that a pass has the confirms in time, whatever the bodies are; each is kept once."""
    names = [f"large-{n}" for n in range(30)]
    for name in names:
        door.put(name, colour="blue" * 250_000)
    door.put("good")

    intake.run_once()
    at_first = len(door.answers)
    while door.waiting:
        intake.run_once()

    assert (at_first, len(door.answers)) == (9, 31)
    letters = [properties.message_id for properties, _ in bodies(dead_queue(INTAKE_QUEUE))]
    assert [name for name in letters if name in names] == names
