"""Schedules that fire, with real servers: each fire time one job, whoever else fires beside."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from msgspec.structs import replace

from services.scheduler.chores.fire import Fire
from services.scheduler.schedule_file import read
from taskyard import task
from taskyard.catalogue import Catalogue, describe
from taskyard.config import load
from taskyard.dispatcher import Dispatcher
from taskyard.errors import BrokerUnavailable, ConfigurationError, ScheduleDeclared, StoreFault
from taskyard.job import Job, rfc3339
from taskyard.job_creation import Defaults, new_job
from taskyard.rabbitmq.confirms import Failure
from taskyard.rabbitmq.outgoing import Outgoing
from taskyard.request import JobRequest
from taskyard.schedules.jobs import job_of
from taskyard.schedules.plan import decide, encode
from taskyard.schedules.record import ScheduleRecord
from taskyard.schedules.repository import ScheduleRepository
from taskyard.schedules.rule import job_id, next_time, parse
from taskyard.store.jobs import Reach
from tests.contract import jobs
from tests.contract.jobs import state
from tests.contract.test_schedules import change
from tests.polling import poll

pytest_plugins = ["tests.integration.api_fixtures"]

FAR = "2020-01-01T00:00:00Z"
HOUR_S = 3600


class Corner:
    """Schedules in a store, and what fires them.

    Args:
        dispatcher: With a publisher that is connected.
        settings: Limits of jobs.
    """

    def __init__(self, dispatcher, settings, queue: str) -> None:
        self.store = dispatcher.store
        #: The tasks' own.
        self.queue = queue
        self.dispatcher = dispatcher
        self.settings = settings
        self.schedules = ScheduleRepository(self.store)

    def fire(self, declared=None, **options: Any) -> Fire:
        """Return another scheduler's chore."""
        return Fire(self.dispatcher, self.settings, declared, **options)

    def add(self, *, slept_s: float = 0, **fields: Any) -> ScheduleRecord:
        """Add a schedule that fires each hour, as one that nobody looked after for so long."""
        asked = {"name": "s", "task": "echo", "every_s": HOUR_S, "anchor_at": FAR, **fields}
        row = self.schedules.create(parse(asked))
        return self.sleep(row, slept_s)

    def sleep(self, row: ScheduleRecord, slept_s: float) -> ScheduleRecord:
        """Put a schedule's last fire time so far into the past."""
        past_ms = self.store.now_ms() - round(slept_s * 1000)
        asleep = replace(row.state, created_at=past_ms, cursor=past_ms)
        first = parse(row.schedule.model_dump(mode="json"))
        asleep = replace(asleep, next_at=next_time(first, past_ms, anchor_ms=past_ms))
        written = self.schedules.write(replace(row, state=asleep), past_ms)
        assert written is not None
        return written

    def run(self, chore: Fire | None = None) -> None:
        """Fire until nothing is due."""
        chore = chore or self.fire()
        while chore.run_once() == 0:
            pass

    def outcomes(self, name: str = "s") -> list[str]:
        """Return what became of fire times, oldest first."""
        return [event.outcome for event in reversed(self.schedules.history(name, 100))]

    def jobs(self, name: str = "s") -> list[Job]:
        """Return the jobs that were fired, oldest first."""
        events = reversed(self.schedules.history(name, 100))
        found = self.store.get([event.job_id for event in events if event.job_id])
        assert None not in found
        return [job for job in found if job is not None]


@pytest.fixture
def corner(dispatcher, publisher, settings, catalogued):
    """A corner whose catalogue knows the tasks `echo` and `add`."""
    publisher.start()
    poll(lambda: publisher.is_ready)
    return Corner(dispatcher, settings, catalogued)


def test_a_schedule_fires_its_job(corner, bodies, catalogued):
    """With its fields, an id made of name and time, and its message in the queue."""
    corner.add(slept_s=HOUR_S, args=[7], priority=8, tags=["x"], missed="once")

    corner.run()

    (job,) = corner.jobs()
    ((properties, _),) = bodies(catalogued)
    message = job.message
    assert (
        message.args,
        message.priority,
        message.options.tags,
        message.options.origin,
    ) == ([7], 8, ["x"], "schedule")
    assert job.id.startswith("s:20")
    assert job.id == properties.message_id
    row = corner.schedules.get("s")
    assert job.id == row.state.last_job
    assert row.state.next_at == row.state.last_fire + HOUR_S * 1000


def test_it_tells_when_to_come_again(corner):
    """At the next fire time, however far that is; None where there is no schedule."""
    assert corner.fire().run_once() is None
    corner.add(anchor_at=None)

    wait_s = corner.fire().run_once()

    assert HOUR_S - 60 < wait_s <= HOUR_S


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"missed": "skip"}, ["skipped_missed"]),
        ({"missed": "once"}, ["skipped_missed", "fired"]),
        ({"missed": "all"}, ["fired"] * 5),
        ({"missed": "all", "missed_max": 2}, ["skipped_missed", "fired", "fired"]),
        ({"missed": "skip", "grace_s": 9 * HOUR_S}, ["fired"] * 5),
    ],
)
def test_after_a_downtime_the_policy_decides(corner, fields, expected):
    """Five fire times passed while no scheduler ran."""
    now_s = corner.store.now_ms() / 1000
    corner.add(slept_s=5 * HOUR_S - 1, anchor_at=_text(now_s - 1800), **fields)

    corner.run()

    assert corner.outcomes() == expected


def test_many_schedulers_fire_once(corner):
    """Whoever comes, each fire time has one job."""
    for n in range(10):
        corner.add(name=f"s{n}", slept_s=3 * HOUR_S, missed="all")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: corner.run(corner.fire()), range(4)))

    for n in range(10):
        assert corner.outcomes(f"s{n}") == ["fired"] * 3
        assert len({job.id for job in corner.jobs(f"s{n}")}) == 3


def test_what_a_dead_scheduler_decided_is_done_once(corner, bodies, catalogued):
    """Whether it died before its job was made or after; nobody else comes before its time is over."""
    for name in ("before", "after"):
        row = corner.add(name=name, slept_s=HOUR_S, grace_s=2 * HOUR_S)
        step = decide(row.schedule, row.state, corner.store.now_ms(), is_last_active=False)
        assert step is not None
        row = corner.schedules.write(replace(row, state=step.state), corner.store.now_ms())
        if name == "after":
            its_id = job_id(name, row.state.firing)
            corner.dispatcher.submit(
                job_of(
                    row.schedule,
                    Catalogue(corner.store, ttl_s=0),
                    payload_max_bytes=1000,
                    job_id=its_id,
                )
            )

    corner.run()
    assert [] == corner.outcomes("before") == corner.outcomes("after")

    def are_done() -> bool:
        corner.run()
        return bool(corner.outcomes("before") and corner.outcomes("after"))

    poll(are_done)
    assert ["fired"] == corner.outcomes("before") == corner.outcomes("after")
    assert len(bodies(catalogued)) == 2


def test_a_job_whose_record_is_gone_does_not_fire_again(corner, store):
    """The schedule knows that it did."""
    corner.add(slept_s=HOUR_S)
    corner.run()
    (job,) = corner.jobs()
    store.withdraw([job.id])

    corner.run()

    assert store.get([job.id]) == [None]
    assert corner.outcomes() == ["fired"]


def test_queue_one_fires_when_the_last_job_has_ended(corner, worker):
    """Within a second; a third one does not wait."""
    row = corner.add(slept_s=HOUR_S, overlap="queue_one")
    corner.run()
    (first,) = corner.jobs()
    token = worker.start(first.id)
    row = corner.sleep(corner.schedules.get("s"), HOUR_S)
    corner.run()
    corner.sleep(corner.schedules.get("s"), 2 * HOUR_S)
    corner.run()
    assert corner.outcomes()[:2] == ["fired", "queued"]
    assert {"skipped_overlap", "skipped_missed"} >= set(corner.outcomes()[2:])

    worker.end(first.id, token, "completed")
    poll(lambda: corner.run() or corner.outcomes()[-1] == "fired")

    assert row.state.queued is None


@pytest.mark.parametrize("state", ["pending", "running"])
def test_skip_leaves_out_what_would_overlap(corner, worker, state):
    """Whether the last job runs or only waits to."""
    corner.add(slept_s=HOUR_S, overlap="skip")
    corner.run()
    if state == "running":
        worker.start(corner.jobs()[0].id)
    corner.sleep(corner.schedules.get("s"), HOUR_S)

    corner.run()

    assert corner.outcomes() == ["fired", "skipped_overlap"]


def test_cancel_previous_cancels_the_last_job(corner):
    """And fires."""
    now_ms = corner.store.now_ms()
    corner.add(slept_s=2 * HOUR_S, overlap="cancel_previous", missed="all")

    corner.run()

    assert [job.state for job in corner.jobs()] == ["cancelled", "pending"]
    assert now_ms <= corner.store.now_ms()


@pytest.mark.parametrize(("is_bound", "state"), [(False, "cancelled"), (True, "pending")])
def test_cancel_previous_keeps_within_the_reach_of_who_wrote_it(corner, store, is_bound, state):
    """Whoever replaced the schedule may not reach the job that it fired before."""
    row = corner.add(slept_s=HOUR_S, overlap="cancel_previous")
    before = jobs.new_job(queue="elsewhere")
    store.create([before])
    reach = Reach(queues=(corner.queue,)) if is_bound else None
    changed = replace(row.state, last_job=before.id, reach=reach)
    assert corner.schedules.write(replace(row, state=changed), store.now_ms())

    corner.run()

    assert corner.outcomes() == ["fired"]
    assert jobs.get(store, before.id).state == state


def test_a_fire_that_fails_cancels_nothing(corner, monkeypatch):
    """The last job goes on until there is another in its place."""
    corner.add(slept_s=2 * HOUR_S, overlap="cancel_previous", missed="all")
    poll(lambda: corner.fire().run_once() is None or corner.outcomes() == ["fired"])
    (first,) = corner.jobs()

    with monkeypatch.context() as patch:
        patch.setattr(corner.dispatcher.publisher, "publish_each", _refuse)
        with suppress(BrokerUnavailable):
            corner.run()
    assert state(corner.store, first.id) == "pending"

    poll(lambda: corner.run() or corner.outcomes() == ["fired", "fired"])
    assert [job.state for job in corner.jobs()] == ["cancelled", "pending"]


def test_a_schedule_whose_arguments_are_wrong_by_now_is_refused(corner):
    """Its history says why, and it goes on."""
    corner.add(slept_s=HOUR_S, task="add", args=["x"])

    corner.run()

    (event,) = corner.schedules.history("s", 9)
    assert event.outcome == "refused"
    assert "/args/0" in event.reason
    assert corner.schedules.get("s").state.next_at > corner.store.now_ms()


@pytest.mark.parametrize(("origin", "name"), [("amqp", "echo"), ("schedule", "add")])
def test_an_id_that_somebody_took_before_is_no_fire(corner, store, queue, origin, name):
    """The history says so, rather than that it fired; the next fire time is as any other."""
    row = corner.add(slept_s=2 * HOUR_S, missed="all")
    taken = job_id("s", row.state.next_at)
    request = JobRequest(task=name, args=[1]).model_copy(update={"id": taken})
    known = Defaults(queue=queue, priority=4, max_retries=2, timeout_s=60)
    store.create([new_job(request, known, origin=origin, payload_max_bytes=9999)])

    corner.run()

    assert corner.outcomes() == ["refused", "fired"]
    assert taken in corner.schedules.history("s", 9)[-1].reason
    assert [job.id for job in corner.jobs()] == [corner.schedules.get("s").state.last_job]
    assert store.get([taken])[0].message.options.origin == origin


@pytest.mark.parametrize(
    ("policy", "outcomes", "jobs"),
    [("reject", ["fired", "refused"], 1), ("existing", ["fired", "fired"], 1)],
)
def test_a_unique_task_has_one_job(corner, store, queue, policy, outcomes, jobs):
    """At the next fire time while it lives, it is refused or the same, as the task says."""
    unique = task(name="single", unique_for=HOUR_S, unique_policy=policy)(lambda: None)
    known = Defaults(queue=queue, priority=4, max_retries=2, timeout_s=60)
    store.declare([describe(unique, known)], [queue])
    corner.add(slept_s=2 * HOUR_S, task="single", missed="all")

    corner.run()

    assert corner.outcomes() == outcomes
    assert len({job.id for job in corner.jobs()}) == jobs


def test_an_unknown_task_is_waited_for(corner, store, settings):
    """A worker that knows it may come up; after UNKNOWN_TASK_TTL the fire is refused."""
    corner.add(slept_s=HOUR_S, task="unheard_of", grace_s=9 * HOUR_S)
    corner.run()
    assert corner.outcomes() == []
    assert corner.schedules.get("s").state.firing is not None

    corner.settings = replace(settings, unknown_task_ttl=0)
    poll(lambda: corner.run() or corner.outcomes() == ["refused"])


def test_an_unreadable_schedule_does_not_hold_up_the_others(corner, store):
    """It is left alone for a while."""
    store.write_schedule(change("bad", due_at_ms=1))
    corner.add(slept_s=HOUR_S)

    corner.run(corner.fire([]))

    assert corner.outcomes() == ["fired"]


def test_fields_of_a_later_version_are_left_out(corner, store):
    """What else is in it counts."""
    row = corner.add()
    spec = {**row.schedule.model_dump(mode="json"), "colour": "red"}
    store.write_schedule(
        change("s", row.revision, spec=json.dumps(spec), state=encode(row.state), due_at_ms=1)
    )

    assert row.schedule == corner.schedules.get("s").schedule


def test_nothing_is_decided_while_rabbitmq_is_away(corner, monkeypatch):
    """Nor lost: afterwards it is late."""
    corner.add(slept_s=HOUR_S)
    chore = corner.fire()
    with monkeypatch.context() as patch:
        patch.setattr(type(corner.dispatcher.publisher), "is_ready", False)
        assert chore.run_once() is None
    assert corner.outcomes() == []

    corner.run(chore)

    assert corner.outcomes() == ["fired"]


def test_a_fire_that_could_not_be_published_is_made_later(corner, monkeypatch):
    """Under the same id."""
    corner.add(slept_s=HOUR_S)
    with monkeypatch.context() as patch:
        patch.setattr(corner.dispatcher.publisher, "publish_each", _refuse)
        corner.run()
    assert corner.outcomes() == []

    poll(lambda: corner.run() or corner.outcomes() == ["fired"])


@pytest.mark.parametrize(
    "error", [BrokerUnavailable("it is full"), StoreFault("odd"), KeyError("bug")]
)
def test_a_schedule_that_cannot_fire_does_not_hold_up_the_others(corner, monkeypatch, error):
    """Whatever its trouble is, in whatever order they come; it fires when that is over."""
    for number in range(5):
        corner.add(name=f"good-{number}", slept_s=HOUR_S)
    corner.add(name="bad", args=["bad"], slept_s=HOUR_S)
    dispatch_each = corner.dispatcher.dispatch_each

    def refuse(jobs):
        if any('"bad"' in job.body for job in jobs):
            raise error
        return dispatch_each(jobs)

    with monkeypatch.context() as patch:
        patch.setattr(corner.dispatcher, "dispatch_each", refuse)
        corner.run()
    assert [corner.outcomes(f"good-{number}") for number in range(5)] == [["fired"]] * 5
    assert corner.outcomes("bad") == []

    poll(lambda: corner.run() or corner.outcomes("bad") == ["fired"])


class Hanging:
    """A publisher that some queues never confirm to; it notes the queues of each call."""

    is_ready = True

    def __init__(self, publisher, hung: set[str]) -> None:
        self.publisher = publisher
        self.hung = hung
        self.calls: list[set[str]] = []

    def publish_each(self, messages: Sequence[Outgoing], **options: Any) -> dict[int, Failure]:
        self.calls.append({each.queue for each in messages})
        well = [each for each in messages if each.queue not in self.hung]
        assert self.publisher.publish_each(well, **options) == {}
        return {
            place: Failure(BrokerUnavailable("no confirm"), True)
            for place, each in enumerate(messages)
            if each.queue in self.hung
        }


def test_queues_that_hang_hold_up_no_other(corner, publisher, queue):
    """They cost one deadline together, and then rest: so do schedules that are due later."""
    hung = {f"{queue}-{number}" for number in range(3)}
    corner.store.declare([], sorted(hung))
    hanging: Any = Hanging(publisher, hung)
    corner.dispatcher = Dispatcher(corner.store, hanging)
    for name in hung:
        corner.add(name=name, queue=name, slept_s=HOUR_S, grace_s=9 * HOUR_S)
    corner.add(name="good", slept_s=3 * HOUR_S, grace_s=9 * HOUR_S)
    chore = corner.fire(clock=lambda: 0.0)

    corner.run(chore)
    corner.add(name="late", queue=min(hung), slept_s=HOUR_S)
    corner.run(chore)

    assert hanging.calls == [{queue, *hung}, {queue}, {queue}]
    assert corner.outcomes("good") == ["fired"] * 3
    names = [*hung, "late"]
    assert [corner.outcomes(name) for name in names] == [[]] * 4
    hung.clear()
    poll(lambda: corner.run() or [corner.outcomes(name) for name in names] == [["fired"]] * 4)


def test_declared_schedules_are_synchronised(corner):
    """Added, changed, and removed when they are gone; others stay."""
    corner.add(name="own")
    rule = {"task": "echo", "every_s": 60}
    one, two = (parse({"name": name, **rule}) for name in ("one", "two"))

    corner.fire([one, two]).run_once()
    assert [row.name for row in corner.schedules.all()] == ["one", "own", "two"]
    with pytest.raises(ScheduleDeclared):
        corner.schedules.remove("one")
    with pytest.raises(ScheduleDeclared):
        corner.schedules.put(two)
    corner.schedules.set_paused("one", True)
    before = corner.schedules.get("one")
    changed = parse({"name": "one", **rule, "args": [1]})
    corner.fire([one]).run_once()
    assert corner.schedules.get("one") == before
    corner.fire([changed]).run_once()

    rows = {row.name: row for row in corner.schedules.all()}
    assert rows.keys() == {"one", "own"}
    assert (
        rows["one"].state.is_declared,
        rows["one"].state.is_paused,
        rows["one"].schedule.args,
    ) == (True, True, [1])
    assert not rows["own"].state.is_declared


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ('[schedules.a]\ntask = "t"\ncron = "@daily"\n', ["a"]),
    ],
)
def test_a_file_of_schedules_is_read(tmp_path, text, expected):
    """By name."""
    path = tmp_path / "schedules.toml"
    path.write_text(text)

    assert [each.name for each in read(load(schedules_file=str(path))) or []] == expected


def test_all_faults_of_the_file_are_named(tmp_path):
    """With schedule and field."""
    path = tmp_path / "schedules.toml"
    path.write_text(
        'other = 1\n[schedules.a]\ncron = "x"\n[schedules.b]\ntask = "t"\nevery_s = 0\ncolour = 1\n'
    )

    with pytest.raises(ConfigurationError) as caught:
        read(load(schedules_file=str(path)))

    for place in ("other", "a.task", "a.cron", "b.every_s", "b.colour"):
        assert place in str(caught.value)


@pytest.mark.parametrize("text", [None, "[", "schedules = 1"])
def test_a_file_that_cannot_be_used_is_refused(tmp_path, text):
    """Also one that is named and not there."""
    path = tmp_path / "schedules.toml"
    if text is not None:
        path.write_text(text)

    with pytest.raises(ConfigurationError, match=r"schedules\.toml"):
        read(load(schedules_file=str(path)))


def _refuse(messages: Sequence[Outgoing], **_: Any) -> dict[int, Failure]:
    return {place: Failure(BrokerUnavailable("not now"), False) for place in range(len(messages))}


def _text(time_s: float) -> str:
    return rfc3339(round(time_s * 1000)) or ""
