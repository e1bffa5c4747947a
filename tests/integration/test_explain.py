"""Each finding of `explain` in the situation that it is about, with real workers, schedulers and servers."""

from pathlib import Path

import pytest

from taskyard.explain import explain
from taskyard.explain.findings import CODES
from taskyard.job_creation import new_job
from taskyard.policy.limits import limits
from taskyard.rabbitmq.inspect import probe
from taskyard.request import parse
from taskyard.store.jobs import Change, Unique
from tests import worker_tasks as tasks
from tests.contract import jobs
from tests.polling import poll
from tests.yard import kill

TOLD = {
    "at": "2026-11-24T10:00:00.000Z",
    "by": "ops@example.com",
    "reason": "the mail server is away",
}


@pytest.fixture(scope="module")
def served(make_yard):
    """A yard with a worker of two slots and a scheduler; tasks have time to stop."""
    yard = make_yard(HARD_LIMIT_GRACE_S="20", UNKNOWN_TASK_TTL="600", AUTO_REPAIR="false")
    with yard.running(yard.worker(), yard.scheduler()):
        poll(lambda: yard.store.limits())
        yield yard


@pytest.fixture(scope="module")
def unserved(make_yard):
    """A yard where nothing runs."""
    return make_yard()


@pytest.fixture(scope="module")
def unscheduled(make_yard):
    """A yard with a worker and without a scheduler."""
    yard = make_yard(RELAY_AFTER_S="0.2")
    with yard.running(yard.worker()):
        poll(lambda: yard.store.limits())
        yield yard


def codes(yard, job_id):
    """Return the codes of what is found, in order."""
    return [each["code"] for each in yard.client.explain(job_id)["findings"]]


def found(yard, job_id, code, deadline_s=30.0):
    """Return a finding that is to come, if it is not there yet, and what it came in."""

    def look_for():
        document = yard.client.explain(job_id)
        return next(((e, document) for e in document["findings"] if e["code"] == code), None)

    return poll(look_for, deadline_s)


def first(yard, job_id, code, deadline_s=30.0):
    """Return a finding that is to be the most decisive one, and what it came in."""
    finding, document = found(yard, job_id, code, deadline_s)
    assert document["findings"][0]["code"] == code, document["findings"]
    assert document["summary"] == finding["summary"]
    return finding, document


def phases(document):
    """Return the phases that a life has gone through; less than a millisecond in the queue is none."""
    found = [each["phase"] for each in document["timeline"]]
    return [each for each in found if each != "queued"]


@pytest.fixture
def full(served):
    """The jobs that hold both slots of the worker; they end afterwards."""
    gate = served.new_gate()
    holders = [served.submit(tasks.wait_at, gate).id for _ in range(2)]
    for each in holders:
        served.await_event("waits", each)
    yield holders
    served.open(gate)
    for each in holders:
        served.ended(each)


def test_every_finding_is_tried_here():
    """A new one needs its situation."""
    text = Path(__file__).read_text()
    assert [code for code in CODES if f'"{code}"' not in text] == []


# What happened to its workers


@pytest.mark.parametrize(
    ("crashes", "why"), [(0, "its worker died"), (1, "1 worker died with it alone")]
)
def test_a_suspect(unserved, crashes, why):
    """A job that was in a process which died: it is tried alone, after a wait if it is blamed already."""
    store = unserved.store
    owner = f"dead after {crashes}"  # who has ended once is given nothing more
    job_id, _ = jobs.running(store, owner=owner, queue=unserved.queue)
    store.end_lease(owner, "killed by SIGSEGV", is_own_death=True)
    (lost,) = store.lost("reclaim", jobs.HOUR_MS, 10)
    told = {"is_crash": bool(crashes), "is_loss": not crashes, "is_suspect": True}
    jobs.settle(store, job_id, lost.token, "retrying", delay_ms=jobs.HOUR_MS * crashes, **told)

    finding, document = first(unserved, job_id, "suspect")

    assert why in finding["summary"]
    assert finding["facts"]["crashes"] == crashes
    assert (finding["facts"]["in_s"] > 0) == bool(crashes)
    assert (document["blocking"], document["state"]) == (True, "retrying")
    if crashes:
        assert phases(document)[-1] == "retrying"
    else:
        poll(lambda: phases(first(unserved, job_id, "suspect")[1])[-1] != "retrying")


def test_suspects_in_a_line(unserved):
    """The second is told of the first; while their queue is paused, that comes before all else."""
    store, queue = unserved.store, f"{unserved.queue}-line"
    ids = [jobs.running(store, owner="crashed", queue=queue)[0] for _ in range(2)]
    store.end_lease("crashed", "killed by SIGSEGV", is_own_death=True)
    for lost in store.lost("reclaim", jobs.HOUR_MS, 10):
        told = {"is_loss": True, "is_suspect": True, "delay_ms": jobs.HOUR_MS * ids.index(lost.id)}
        jobs.settle(store, lost.id, lost.token, "retrying", **told)

    before = [first(unserved, job_id, "suspect")[0] for job_id in ids]

    assert [each["facts"]["before_it"] for each in before] == [0, 1]
    assert "alone next," in before[0]["summary"]
    assert "alone after 1 other of its queue," in before[1]["summary"]
    store.pause("queue", queue, TOLD)
    first(unserved, ids[0], "queue_paused")


# What holds it back on purpose


def test_a_paused_queue(served):
    """With who paused it, when and why, and the way to resume it; the job runs when it is."""
    served.store.pause("queue", served.queue, TOLD)
    try:
        job = served.submit(tasks.echo, 1)
        finding, document = first(served, job.id, "queue_paused")
        assert finding["facts"] == {"queue": served.queue, **TOLD}
        assert finding["summary"] == (
            f"The queue '{served.queue}' is paused by ops@example.com"
            " since 2026-11-24T10:00:00.000Z: the mail server is away."
        )
        assert finding["links"]["resume"] == f"/v1/queues/{served.queue}/resume"
        assert (document["blocking"], document["needs_action"]) == (True, True)
    finally:
        served.store.resume("queue", served.queue)
    assert job.get(timeout=30) == 1


def test_a_paused_task(served):
    """Its job is put aside, which is told apart from its time in the queue."""
    served.store.pause("task", tasks.echo.name, TOLD)
    try:
        job = served.submit(tasks.echo, 1)
        poll(lambda: served.job_in("scheduled", job.id))
        finding, document = first(served, job.id, "task_paused")
        assert finding["facts"] == {"task": tasks.echo.name, **TOLD}
        assert phases(document) == ["paused"]
    finally:
        served.store.resume("task", tasks.echo.name)
    assert job.get(timeout=30) == 1
    assert "paused" in phases(job.explain())


def test_a_limit_that_is_taken(served):
    """By the job that has the slot; afterwards the time that it cost is told."""
    gate = served.new_gate()
    holder = served.submit(tasks.one_an_account, "a", gate)
    served.await_event("begins", holder.id)
    job = served.submit(tasks.one_an_account, "a")

    finding, document = first(served, job.id, "concurrency_limit")
    facts = finding["facts"]
    assert tuple(facts[n] for n in ("key", "concurrency", "holding", "before_it")) == ("a", 1, 1, 0)
    assert [each["id"] for each in facts["holders"]] == [holder.id]
    assert facts["holders"][0]["running_s"] > 0
    assert finding["links"]["holder"] == f"/v1/jobs/{holder.id}"
    assert holder.id in finding["summary"]
    assert (document["blocking"], document["needs_action"]) == (True, False)

    served.open(gate)
    assert job.get(timeout=30) == "a"
    assert job.explain()["times"]["limited_s"] > 0


def test_a_rate_that_is_used_up(served):
    """Until the next may start."""
    served.store.set_limits(tasks.note.name, limits(None, "1/h"))
    try:
        served.submit(tasks.note).get(timeout=30)
        finding, _ = first(served, served.submit(tasks.note).id, "rate_limit")
        assert finding["facts"]["rate"] == "1/h"
        assert 3500 < finding["facts"]["in_s"] <= 3600
    finally:
        served.store.set_limits(tasks.note.name, None)


def test_a_limit_that_is_free_again(unscheduled):
    """Whoever is next is let go by a scheduler: here there is none."""
    gate = unscheduled.new_gate()
    holder = unscheduled.submit(tasks.one_an_account, "b", gate)
    unscheduled.await_event("begins", holder.id)
    job = unscheduled.submit(tasks.one_an_account, "b")
    poll(lambda: unscheduled.job_in("scheduled", job.id))

    unscheduled.open(gate)
    holder.get(timeout=30)
    finding, _ = first(unscheduled, job.id, "limit_line")
    assert finding["facts"]["before_it"] == 0


# Workers


def test_no_worker_reads_the_queue(unserved):
    """Nothing can be estimated then."""
    older, job = unserved.submit(tasks.echo, 1), unserved.submit(tasks.echo, 2)

    finding, document = first(unserved, job.id, "no_worker")
    assert tuple(finding["facts"][n] for n in ("queue", "workers_alive", "gone")) == (
        unserved.queue,
        0,
        [],
    )
    assert document["needs_action"]
    ahead, _ = found(unserved, job.id, "jobs_ahead")
    assert tuple(
        ahead["facts"][n] for n in ("ahead", "is_complete", "estimate_s", "estimate_note")
    ) == (1, True, None, "held_up")
    assert "jobs_ahead" not in codes(unserved, older.id)


def test_a_job_that_has_risen_by_waiting(make_yard):
    """It comes before those that wait for less long, whatever they are."""
    yard = make_yard()
    job, later = yard.submit(tasks.echo, 1, priority=2), yard.submit(tasks.echo, 2, priority=8)
    poll(lambda: set(yard.store.oldest_published(yard.queue, 20, 10)) == {job.id, later.id})
    yard.store.age(yard.queue, 2, 1)

    finding, document = found(yard, job.id, "risen")
    assert document["summary"].startswith("No live worker")
    assert tuple(finding["facts"][n] for n in ("priority", "stands_at")) == (2, 9)
    assert "jobs_ahead" not in codes(yard, job.id)
    ahead, _ = found(yard, later.id, "jobs_ahead")
    assert tuple(ahead["facts"][n] for n in ("ahead", "priority", "stands_at")) == (1, 8, 8)
    assert yard.job(job.id).message.priority == 2


def test_a_worker_that_never_heard_of_the_job(make_yard):
    """It is not said to run; the worker's next heartbeat gives it back."""
    yard = make_yard()
    job = yard.submit(tasks.echo, 1)
    beat = {"owner": "w1", "info": {}, "lease_ms": jobs.HOUR_MS, "running": [], "over": 2}
    yard.store.heartbeat(**beat)
    assert jobs.claim(yard.store, job.id, queue=yard.queue, call=1).kind == "run"

    finding, document = first(yard, job.id, "unheard")
    assert codes(yard, job.id) == ["unheard"]
    assert finding["facts"]["worker"] == "w1-name"
    assert (document["state"], document["needs_action"]) == ("running", False)
    assert yard.store.heartbeat(**beat).given_back == [job.id]
    assert "unheard" not in codes(yard, job.id)


def test_a_worker_that_was_lost(make_yard):
    """What it ran waits for a scheduler, and what it would run for another worker."""
    yard = make_yard(LEASE_S="3")
    worker = yard.worker()
    with yard.running(worker):
        running = yard.submit(tasks.wait_at, yard.new_gate())
        yard.await_event("waits", running.id)
        kill(yard.events("waits", running.id)[-1].pid)

        finding, document = first(yard, running.id, "worker_lost")
        assert yard.job(running.id).attempts[-1].worker == finding["facts"]["worker"]
        assert document["state"] == "running"
        worker.kill()
    waiting = yard.submit(tasks.echo, 1)
    finding, _ = first(yard, waiting.id, "no_worker")
    assert finding["facts"]["gone"]


def test_no_worker_knows_the_task(served):
    """One that looks at the job parks it, and says until when."""
    options = tasks.echo.options
    asked = parse({"task": "test.not_deployed", "queue": served.queue})
    served.store.pause("queue", served.queue, TOLD)
    try:
        job = served.client.submit(options, asked)
        assert codes(served, job.id)[:2] == ["queue_paused", "task_unknown"]
        unknown, _ = found(served, job.id, "task_unknown")
        assert (unknown["facts"]["workers"], unknown["facts"]["known_in_queues"]) == (1, [])
    finally:
        served.store.resume("queue", served.queue)

    finding, document = first(served, job.id, "parked")
    assert finding["facts"]["workers_that_know"] == 0
    assert finding["facts"]["parked_at"] < finding["facts"]["given_up_at"]
    assert (phases(document)[0], phases(document)[-1]) == ("paused", "parked")
    job.cancel()


def test_all_slots_are_busy(served, full):
    """With what, who is before it, and when its turn may be."""
    before = [served.submit(tasks.echo, 1).id for _ in range(3)]
    job = served.submit(tasks.echo, 2, priority=1)

    finding, document = first(served, job.id, "slots_busy")
    facts = finding["facts"]
    assert (facts["workers"], facts["slots"], facts["running"]) == (1, 2, 2)
    assert set(full) == {each["id"] for each in facts["longest_running"]}
    assert (
        finding["links"]["longest_running"]
        == f"/v1/jobs/{facts['longest_running'][0]['id']}/explain"
    )
    assert not document["needs_action"]
    ahead, _ = found(served, job.id, "jobs_ahead")
    assert tuple(ahead["facts"][n] for n in ("ahead", "priority", "ready")) == (len(before), 1, 4)
    pace = ahead["facts"]["pace"]
    assert pace["starts"] >= 2
    assert 4 / pace["per_s"] == pytest.approx(ahead["facts"]["estimate_s"], rel=0.1)


def test_a_message_that_is_lost(served):
    """The job is ready and nothing keeps it, and yet nobody takes it."""
    served.store.pause("queue", served.queue, TOLD)
    try:
        job = served.submit(tasks.echo, 1)
        poll(lambda: served.store.vitals().unconfirmed == 0)
        with served.channel() as channel:
            poll(lambda: channel.queue_purge(served.queue).method.message_count)
    finally:
        served.store.resume("queue", served.queue)

    finding, document = first(served, job.id, "stalled")
    assert finding["facts"]["free_slots"] == 2
    # The scheduler finds it, too, if it is given some time.
    assert (document["blocking"], document["needs_action"]) == (True, False)
    job.cancel()


def test_a_job_that_is_about_to_be_taken(served):
    """For a moment nothing is odd about it."""

    def just_ready():
        job_id = record(served)
        served.store.mark_published([(job_id, jobs.LATER_MS)])
        document = served.client.explain(job_id)
        served.store.cancel([job_id], 60_000)
        return document["findings"][0]["code"] == "ready" and document

    document = poll(just_ready)
    assert (document["blocking"], document["needs_action"]) == (False, False)


# Time


def test_a_time_to_come(served):
    """And what would be in the way then."""
    job = served.submit(tasks.echo, 1, delay_s=3600)

    finding, document = first(served, job.id, "waiting_for_time")
    assert 3500 < finding["facts"]["in_s"] <= 3600
    assert finding["links"]["run_now"] == f"/v1/jobs/{job.id}/run-now"
    assert phases(document) == ["waiting"]
    assert codes(served, job.id) == ["waiting_for_time"]

    served.store.change(job.id, Change(delay_ms=0))
    assert job.get(timeout=30) == 1


def test_a_time_that_nobody_kept(unscheduled):
    """No scheduler takes it: RabbitMQ was asked, and is not the reason."""
    job = unscheduled.submit(tasks.echo, 1, delay_s=0.01)

    finding, document = first(unscheduled, job.id, "overdue")
    assert finding["facts"]["late_s"] > 1
    assert document["needs_action"]
    assert phases(document) == ["waiting", "late"]
    assert codes(unscheduled, job.id) == ["overdue"]


def test_a_retry_that_waits(served):
    """With the error that it is after, and the time of each part so far."""
    job = served.submit(tasks.again_in, 3600)

    finding, document = first(served, job.id, "retry_backoff")
    assert finding["facts"]["error"] == {"type": "Retry", "message": "not yet"}
    assert finding["facts"]["attempt"] == 1
    assert (document["blocking"], document["needs_action"]) == (True, False)
    assert phases(document) == ["running", "retrying"]
    job.cancel()


def test_a_job_past_its_expiry(unserved):
    """It still is pending, for nobody has reached it."""
    job = unserved.submit(tasks.echo, 1, expires_s=0.01)
    finding, _ = found(unserved, job.id, "past_expiry")
    assert finding["facts"]["late_s"] >= 0


# RabbitMQ


def record(yard):
    """Record a job as one does that dies before it publishes."""
    job = yard.client.prepare(
        tasks.echo.options, parse({"task": tasks.echo.name, "queue": yard.queue})
    )
    yard.store.create([job])
    return job.id


def test_a_message_that_is_not_confirmed(unscheduled):
    """There is no scheduler to publish it again."""
    job_id = record(unscheduled)

    finding, document = first(unscheduled, job_id, "unconfirmed")
    assert (document["blocking"], document["needs_action"]) == (False, False)
    assert finding["facts"]["since"] < finding["facts"]["relay_at"]
    finding = poll(
        lambda: (e := first(unscheduled, job_id, "unconfirmed")[0])["needs_action"] and e
    )
    assert finding["blocking"]


def test_an_alarm_of_rabbitmq(unscheduled, rabbit):
    """It is the reason why nothing is published; it is looked for only where something is late."""
    rabbit.control("set_vm_memory_high_watermark", "0.00001")
    try:
        finding, document = first(unscheduled, record(unscheduled), "broker_blocked")
        assert "memory" in finding["facts"]["detail"]
        assert (document["blocking"], document["needs_action"]) == (True, True)
    finally:
        rabbit.control("set_vm_memory_high_watermark", "0.4")
    poll(lambda: probe(unscheduled.settings.broker_url).kind == "ready")


def test_rabbitmq_is_away(unserved):
    """With the words of the connection."""
    job = unserved.submit(tasks.echo, 1, delay_s=0.01)
    poll(lambda: "overdue" in codes(unserved, job.id))

    document = explain(
        unserved.store,
        unserved.settings,
        job.id,
        ask_broker=lambda: probe("amqp://127.0.0.1:1/"),
    )
    assert document["findings"][0]["code"] == "broker_away"
    assert "refused" in document["findings"][0]["facts"]["detail"]


# What runs


def test_a_running_job(served):
    """Where it runs, since when and until when; that it was asked to stop, and has not."""
    gate = served.new_gate()
    job = served.submit(tasks.stubborn, gate, timeout_s=50)
    served.await_event("waits", job.id)
    finding, document = first(served, job.id, "running")
    assert (finding["facts"]["attempt"], finding["facts"]["timeout_s"]) == (1, 50)
    assert served.job(job.id).attempts[0].worker == finding["facts"]["worker"]
    assert (document["blocking"], document["needs_action"]) == (False, False)
    assert phases(document) == ["running"]
    assert document["timeline"][-1]["to"] is None

    job.cancel()
    assert codes(served, job.id) == ["cancel_requested", "running"]
    served.open(gate)
    served.ended(job.id)


# What has ended


def test_a_job_that_took_two_attempts(served):
    """Its life is told without a gap."""
    job = served.submit(tasks.again_in, 0.05)
    assert job.get(timeout=30) == "done"

    finding, document = first(served, job.id, "completed")
    assert finding["facts"]["attempts"] == 2
    assert phases(document) == ["running", "retrying", "running"]
    assert [each["attempt"] for each in document["timeline"] if each["attempt"]] == [1, 2]
    edges = [(each["from"], each["to"]) for each in document["timeline"]]
    assert [to for _, to in edges[:-1]] == [start for start, _ in edges[1:]]
    shown = job.document()
    assert (shown["created_at"], shown["finished_at"]) == (edges[0][0], edges[-1][1])
    times = document["times"]
    assert times.pop("total_s") == pytest.approx(sum(times.values()), abs=1e-6)


def test_a_job_that_failed(served):
    """With the reason, its dead letter and the way to run it again."""
    job = served.submit(tasks.hopeless)
    served.ended(job.id)

    finding, document = first(served, job.id, "failed")
    assert finding["facts"]["reason"] == "final_error"
    assert finding["facts"]["error"] == {"type": "Hopeless", "message": "no use"}
    assert finding["links"] == {
        "dead_letter": f"/v1/dead-letters/{job.id}",
        "retry": f"/v1/jobs/{job.id}/retry",
    }
    assert not document["blocking"]
    served.forget_dead_letters()


def test_a_job_that_was_cancelled(served):
    """Before it started."""
    job = served.submit(tasks.echo, 1, delay_s=60)
    poll(lambda: job.explain()["times"]["total_s"])
    job.cancel()

    finding, document = first(served, job.id, "cancelled")
    assert finding["summary"] == "It was cancelled before it started."
    assert phases(document) == ["waiting"]


def test_a_job_that_was_replaced(unserved):
    """By one that has its lock now."""
    unique = Unique(lock="only", lock_ms=60_000, policy="replace")
    old, new = (
        jobs.new_job(task=tasks.echo.name, queue=unserved.queue, unique=unique) for _ in "12"
    )
    unserved.store.create([old])
    lock, _ = found(unserved, old.id, "unique_lock")
    assert 50 < lock["facts"]["left_s"] <= 60

    unserved.store.create([new])
    unserved.store.replace([new.id])
    finding, _ = first(unserved, old.id, "replaced")
    assert new.id == finding["facts"]["replaced_by"]
    assert finding["links"]["replaced_by"] == f"/v1/jobs/{new.id}"
    assert "unique_lock" in codes(unserved, new.id)


def test_a_job_that_expired(served, full):
    """It waited for a slot past its time."""
    job = served.submit(tasks.echo, 1, expires_s=0.01)
    poll(lambda: "past_expiry" in codes(served, job.id))
    # A slot is what it takes to see it: those of `full` are free in a moment.
    for each in full:
        served.store.cancel([each], 60_000)
    served.ended(job.id)

    finding, document = first(served, job.id, "expired")
    assert finding["facts"]["expires_at"] < finding["facts"]["finished_at"]
    assert phases(document) == []  # from its making to its end it was in the queue


def test_a_job_of_a_schedule(unserved):
    """It says which."""
    asked = parse({"task": tasks.echo.name, "queue": unserved.queue})
    job = new_job(
        asked.model_copy(update={"id": "nightly:20261124T100000Z"}),
        _defaults(unserved),
        origin="schedule",
        payload_max_bytes=unserved.settings.payload_max_bytes,
    )
    unserved.store.create([job])

    finding, _ = found(unserved, job.id, "from_schedule")
    assert finding["links"] == {"schedule": "/v1/schedules/nightly"}


def _defaults(yard):
    from taskyard.client import defaults

    return defaults(tasks.echo.options, yard.settings)
