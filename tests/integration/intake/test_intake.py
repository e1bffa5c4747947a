"""Submissions over AMQP: what a program publishes becomes a job, or is kept with the reason."""

import json
import uuid
from pathlib import Path
from typing import Any

import pika
import pytest

from services.api.app import create_app
from services.scheduler.intake.consumer import PREFETCH
from services.scheduler.intake.held_submissions import MOST
from taskyard.errors import BrokerUnavailable
from taskyard.rabbitmq.topology import INTAKE_QUEUE, SUBMIT_EXCHANGE, UNROUTED, dead_queue
from taskyard.request import parse
from taskyard.store.jobs import NewJob
from tests import worker_tasks as tasks
from tests.amqp_document import REPLIES, departures, names_of
from tests.polling import poll
from tests.yard import Yard, metric


@pytest.fixture(scope="module")
def yard(make_yard):
    """A yard with a worker and two schedulers, which share the intake."""
    yard = make_yard()
    yard.store.declare([], [f"{yard.queue}-full", f"{yard.queue}-odd"])
    schedulers = [yard.scheduler(), yard.scheduler()]
    yard.schedulers = schedulers
    with yard.running(yard.worker(), *schedulers):
        poll(lambda: yard.store.tasks() and yard.store.queues())
        yield yard


@pytest.fixture(autouse=True)
def _nothing_left_over(yard):
    """A test that fails must not leave messages that the next ones take for theirs."""
    yield
    with yard.channel() as channel:
        for queue in (dead_queue(INTAKE_QUEUE), UNROUTED):
            channel.queue_purge(queue)


def put(yard: Yard, *bodies: object, key: str = "", exchange: str = SUBMIT_EXCHANGE, **properties):
    """Publish submissions as a stranger would, with confirms."""
    with yard.channel() as channel:
        channel.confirm_delivery()
        for body in bodies:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            channel.basic_publish(exchange, key, raw, pika.BasicProperties(**properties))


def ask(yard: Yard, body: object, **properties):
    """Publish one submission and return the reply to it."""
    with yard.channel() as channel:
        queue = channel.queue_declare("", exclusive=True).method.queue
        put(yard, body, reply_to=queue, correlation_id="c-1", **properties)

        def take():
            method, got, raw = channel.basic_get(queue, True)
            return method and (got, json.loads(raw))

        got, reply = poll(take)
    assert got.correlation_id == "c-1"
    assert len(names_of(got, reply, REPLIES)) == 1
    return reply


def refused(yard: Yard) -> tuple[pika.BasicProperties, bytes]:
    """Take the next refused submission."""
    return yard.dead_letter(INTAKE_QUEUE)


def text_of(properties: pika.BasicProperties) -> str:
    """Return what a dead letter says was wrong."""
    return str((properties.headers or {})["taskyard-error-message"])


def test_a_task_s_name_is_enough(yard):
    """The smallest submission runs with the task's own defaults; message_id is the job's id."""
    put(yard, {"task": tasks.echo.name}, message_id=f"{yard.queue}-small")

    job = yard.ended(f"{yard.queue}-small")

    assert (job.state, job.message.options.origin, job.queue) == ("completed", "amqp", tasks.QUEUE)


@pytest.mark.parametrize(
    "fields", [{"task": "a b"}, {"priority": 10}, {"colour": 1}, {"reply": "x"}, {"run_at": 5}]
)
def test_what_the_schema_refuses_is_refused(yard, fields):
    """The published schema of a submission tells the same as the intake's own checks."""
    body = {"task": tasks.note.name, **fields}

    put(yard, body)

    refused(yard)
    assert departures("submission", pika.BasicProperties(), body) != []


def test_all_fields_and_properties_count(yard):
    """Fields are those of REST; the routing key names the queue, the properties fill what is left open."""
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    body = {
        "task": tasks.add.name,
        "args": [1],
        "kwargs": {"b": 2},
        "max_retries": 1,
        "tags": ["x"],
    }
    body |= {"timeout_s": 9, "expires_s": 60, "delay_s": 0.1, "id": f"{yard.queue}-all"}
    assert departures("submission", pika.BasicProperties(priority=7), body) == []

    put(yard, body, key=yard.queue, message_id="other", priority=7, headers={"traceparent": trace})

    job = yard.ended(f"{yard.queue}-all")
    options = job.message.options
    assert (b"3", yard.queue) == (bytes(job.result or b""), job.queue)
    assert (
        options.priority,
        options.max_retries,
        options.timeout_s,
        options.expires_s,
        options.tags,
    ) == (7, 1, 9, 60, ["x"])
    assert options.traceparent == trace


def test_a_reply_tells_the_id_and_a_duplicate_gets_the_same(yard):
    """Who sets reply_to is told the job's id; the same message again is the same job."""
    name = f"{yard.queue}-twice"

    replies = [ask(yard, {"task": tasks.note.name}, message_id=name) for _ in range(2)]

    yard.ended(name)
    assert replies == [{"status": "accepted", "id": name}] * 2
    assert len(yard.events("ran", name)) == 1


def test_a_batch_is_taken_as_a_whole(yard):
    """An array makes one job each, with ids derived from the message's."""
    name = f"{yard.queue}-batch"

    reply = ask(yard, [{"task": tasks.add.name, "args": [n]} for n in range(3)], message_id=name)

    ids = [f"{name}:{n}" for n in range(3)]
    assert reply == {"status": "accepted", "ids": ids}
    assert [bytes(yard.ended(each).result or b"") for each in ids] == [b"0", b"1", b"2"]


def test_a_batch_with_a_fault_makes_no_job(yard):
    """All or none: errors name the index, and the good ones are not made."""
    name = f"{yard.queue}-bad-batch"

    reply = ask(yard, [{"task": tasks.add.name, "args": [1]}, {"task": "nope"}, 7], message_id=name)

    assert reply["status"] == "refused"
    assert [error["pointer"] for error in reply["errors"]] == ["/1/task", "/2"]
    assert yard.job(f"{name}:0") is None
    refused(yard)


@pytest.mark.parametrize(
    ("body", "pointers", "reason"),
    [
        (b"{", [""], "invalid"),
        (b"\xff", [""], "invalid"),
        (b"", [""], "invalid"),
        (b"7", [""], "invalid"),
        (b"[]", [""], "invalid"),
        ({"task": "nope"}, ["/task"], "invalid"),
        ({}, ["/task"], "invalid"),
        ({"task": tasks.add.name, "args": ["x"], "colour": 1}, ["/colour", "/args/0"], "invalid"),
        ({"task": tasks.echo.name, "args": ["x" * 300_000]}, [""], "too_large"),
        (b"[" * 100_000, [""], "invalid"),
    ],
)
def test_a_bad_one_is_kept_with_the_reason_and_answered(yard, body, pointers, reason):
    """What cannot become a job is in the dead-letter queue, byte for byte, and the others go on."""
    reply = ask(yard, body, message_id="bad")

    properties, kept = refused(yard)
    assert names_of(properties, kept.decode(errors="replace"), ["deadLetter"]) == ["deadLetter"]
    headers = properties.headers or {}
    assert kept == (body if isinstance(body, bytes) else json.dumps(body).encode())
    assert headers["taskyard-reason"] == reason
    assert reply["detail"][:1000] == headers["taskyard-error-message"]
    assert [error["pointer"] for error in reply["errors"]] == pointers


@pytest.mark.parametrize(
    ("body", "last"),
    [
        ({"task": tasks.add.name, "args": [1], "kwargs": {f"{n}": 1 for n in range(9_000)}}, ""),
        ([{"task": "no-such", f"{n}": 1} for n in range(1_000)], ""),
        ({"task": "x" * 200_000}, "/task"),
    ],
    ids=["names", "jobs", "long name"],
)
def test_a_refusal_is_short_however_much_is_wrong(yard, body, last):
    """A reply that is larger than RabbitMQ takes would be tried, and the submission come again, for ever."""
    reply = ask(yard, body, message_id="many")

    properties, _ = refused(yard)
    assert (reply["status"], reply["errors"][-1]["pointer"]) == ("refused", last)
    assert len(reply["errors"]) <= 101
    assert len(json.dumps(reply)) < 128 * 1024
    assert len(text_of(properties)) <= 1_000


def test_a_job_of_an_array_that_is_too_large_is_not_looked_into(yard):
    """An array may be sixteen times as large as a job; the others of it are checked."""
    large = {"task": tasks.add.name, "args": [["x"] * 100_000], "priority": 77}

    reply = ask(yard, [{"task": "no-such"}, large], message_id="large")

    properties, _ = refused(yard)
    faults = [(each["pointer"], each["code"]) for each in reply["errors"]]
    assert faults == [("/0/task", "unknown_task"), ("/1", "too_large")]
    assert (properties.headers or {})["taskyard-reason"] == "too_large"


def test_a_message_id_that_is_no_id_is_a_fault(yard):
    """An id has the characters of REST's; a job's id is never another than was asked for."""
    reply = ask(yard, {"task": tasks.note.name}, message_id="no good")

    assert [error["pointer"] for error in reply["errors"]] == ["/id"]
    assert "must be an id of 1 to 128 letters, digits, " in reply["detail"]
    refused(yard)


@pytest.mark.parametrize(("as_array", "pointer"), [(False, "/id"), (True, "/0/id")])
def test_a_message_id_of_a_fire_time_is_a_fault(yard, as_array, pointer):
    """Of one job and of an array; the same as in the body."""
    fire = "nightly:20261125T023000Z"
    named = {"task": tasks.note.name, "id": fire}
    body = {"task": tasks.note.name}

    told = [
        ask(yard, [body] if as_array else body, message_id=fire),
        ask(yard, [named] if as_array else named),
    ]

    assert [[(e["pointer"], e["code"]) for e in each["errors"]] for each in told] == [
        [(pointer, "fire_id")]
    ] * 2
    refused(yard)
    refused(yard)


def test_strange_properties_do_no_harm(yard):
    """A reply queue that is gone, and properties that are no text."""
    ids = [f"{yard.queue}-odd-{n}" for n in range(2)]
    put(yard, {"task": tasks.note.name}, message_id=ids[0], reply_to="reply.gone")
    put(yard, {"task": tasks.note.name}, message_id=ids[1], headers={"traceparent": 5})

    assert [yard.ended(each).state for each in ids] == ["completed"] * 2


@pytest.mark.parametrize(
    "queue", [INTAKE_QUEUE, tasks.QUEUE, dead_queue(tasks.QUEUE), UNROUTED, "orders", "amq.gen"]
)
def test_no_reply_is_put_among_messages_that_are_not_the_producer_s(yard, queue):
    """A producer cannot have taskyard write into its own queues, or into another producer's."""
    put(yard, {"task": tasks.note.name}, message_id=f"{yard.queue}-aim", reply_to=queue)

    properties, _ = refused(yard)

    assert "reply_to" in text_of(properties)
    assert queue in text_of(properties)
    assert yard.job(f"{yard.queue}-aim") is None
    assert yard.ready_messages(UNROUTED) == 0


def test_a_batch_says_which_jobs_a_living_one_keeps_out(yard):
    """The others are made, and what was refused is kept by itself."""
    name = f"{yard.queue}-partial"
    body = {"task": tasks.rejecting_account.name, "args": [name]}
    first = yard.submit(tasks.rejecting_account, name, delay_s=3600)

    reply = ask(yard, [{"task": tasks.note.name}, body], message_id=name)

    assert (reply["status"], reply["ids"]) == ("partial", [f"{name}:0", None])
    assert [(e["pointer"], e["code"]) for e in reply["errors"]] == [("/1", "not_unique")]
    assert first.id in reply["errors"][0]["detail"]
    assert json.loads(refused(yard)[1]) == body


def test_a_refused_one_is_listed_purged_and_resubmitted(yard):
    """As other dead letters that never were jobs, with the reason and the beginning of the body."""
    api: Any = create_app(yard.settings, yard.client.dispatcher).test_client()
    bodies = [json.dumps({"task": tasks.note.name, "args": [n, yard.queue]}) for n in range(2)]
    put(yard, *[body.encode() for body in bodies])

    def listed():
        page = api.get(f"/v1/dead-letters?queue={INTAKE_QUEUE}&limit=100").json
        found = {item["preview"]["content"]: item for item in page["items"]}
        return bodies[0] in found and bodies[1] in found and found

    letters = poll(listed)
    first, second = (letters[body] for body in bodies)
    assert (first["reason"], first["job_id"]) == ("invalid", None)
    assert "/args" in first["error"]["message"]

    fixed = {"task": tasks.note.name}
    answer = api.post(f"/v1/dead-letters/{first['id']}/resubmit", json=fixed)
    purged = api.post("/v1/dead-letters/purge", json={"ids": [second["id"]]})

    assert (answer.status_code, purged.json["done"]) == (202, 1)
    assert yard.ended(answer.json["id"]).state == "completed"
    poll(lambda: yard.ready_messages(dead_queue(INTAKE_QUEUE)) == 0)


def test_two_schedulers_share_the_work_and_none_is_lost_to_a_kill(yard):
    """500 submissions while one scheduler is killed: each is one job, and runs once."""
    ids = [f"{yard.queue}-kill-{n}" for n in range(500)]
    third = yard.scheduler()
    with yard.running(third), yard.channel() as channel:
        channel.confirm_delivery()
        for number, name in enumerate(ids):
            channel.basic_publish(
                SUBMIT_EXCHANGE,
                "",
                json.dumps({"task": tasks.note.name}).encode(),
                pika.BasicProperties(message_id=name, delivery_mode=2),
            )
            if number == 250:
                third.kill()

    poll(lambda: yard.states(ids)["completed"] == 500, 60)

    assert sorted(ids) == sorted(e.job_id for e in yard.events("ran") if e.job_id in set(ids))
    shares = [
        metric(each, "taskyard_jobs_submitted_total", origin="amqp") for each in yard.schedulers
    ]
    assert all(share > 0 for share in shares)


def test_while_the_store_is_away_nothing_is_lost(yard):
    """Submissions wait, and become jobs when it is back; also those of a scheduler that died."""
    ids = [f"{yard.queue}-away-{n}" for n in range(200)]
    third = yard.scheduler()
    with yard.running(third):
        yard.redis.pause()
        try:
            put(yard, *[{"task": tasks.note.name, "id": name} for name in ids])
            # All three hold as many as they may.
            poll(lambda: yard.ready_messages(INTAKE_QUEUE) == len(ids) - 3 * PREFETCH)
            third.kill()
        finally:
            yard.redis.resume()

        poll(lambda: yard.states(ids)["completed"] == 200, 60)

    assert sorted(ids) == sorted(e.job_id for e in yard.events("ran") if e.job_id in set(ids))


# Queues that refuse


@pytest.fixture
def full_queue(yard, full):
    """A queue of this yard that no worker reads, with a message in it, and full; opened by the function."""
    name = f"{yard.queue}-full"
    job = yard.submit(tasks.note, queue=name)
    with full(name) as empty:
        yield name, empty
    yard.store.cancel([job.id], 1)
    with yard.channel() as channel:
        channel.queue_delete(name)
        channel.queue_delete(dead_queue(name))


def test_a_full_queue_holds_up_no_other(yard, full_queue):
    """Its own submissions wait, and become jobs when it has room; none is made and taken back meanwhile."""
    queue, empty = full_queue
    good = [f"{yard.queue}-past-{n}" for n in range(40)]
    waiting = [f"{yard.queue}-waits-{n}" for n in range(5)]
    body = {"task": tasks.note.name}
    put(yard, *[{**body, "id": name, "queue": queue} for name in waiting])

    put(yard, *[{**body, "id": name} for name in good])

    poll(lambda: yard.states(good)["completed"] == 40)
    assert [yard.job(name) for name in waiting] == [None] * 5
    empty()
    poll(lambda: yard.states(waiting)["pending"] == 5)
    poll(lambda: yard.ready_messages(queue) == 5)
    assert len([e for e in yard.events("ran") if e.job_id in set(good)]) == 40
    assert yard.store.totals().missing == 0


def test_of_a_call_that_was_refused_only_what_the_error_names_runs(yard, full_queue):
    """A worker takes messages as they come: what had begun by then is told, all else does not run."""
    queue, _ = full_queue
    taken: list[str] = []
    refused_ids: list[str] = []
    for _ in range(20):
        jobs = [note_of(yard) for _ in range(10)]

        with pytest.raises(BrokerUnavailable) as caught:
            yard.client.dispatcher.dispatch([*jobs, note_of(yard, queue=queue)])

        taken += caught.value.taken
        refused_ids += [job.id for job in jobs if job.id not in caught.value.taken]
    yard.come_to_rest()

    ids = set(taken) | set(refused_ids)
    ran = [event.job_id for event in yard.events("ran") if event.job_id in ids]
    assert sorted(ran) == sorted(taken)
    assert yard.store.get(refused_ids) == [None] * len(refused_ids)
    assert yard.store.totals().missing == 0


def note_of(yard: Yard, **fields: str) -> NewJob:
    """Return a job of the task `note`, which is not handed over."""
    request = parse({"task": tasks.note.name, "queue": yard.queue, **fields})
    return yard.client.prepare(tasks.note.options, request)


def test_an_array_waits_for_all_its_queues(yard, full_queue):
    """What was made of it stays meanwhile, and is not made twice; then it is answered as a whole."""
    queue, empty = full_queue
    name = f"{yard.queue}-mixed"
    body = [{"task": tasks.note.name}, {"task": tasks.note.name, "queue": queue}]
    with yard.channel() as channel:
        replies = channel.queue_declare("", exclusive=True).method.queue
        put(yard, body, message_id=name, reply_to=replies)
        yard.ended(f"{name}:0")
        assert channel.basic_get(replies, True)[0] is None

        empty()
        _, _, told = poll(lambda: (got := channel.basic_get(replies, True))[0] and got)

    assert json.loads(told) == {"status": "accepted", "ids": [f"{name}:0", f"{name}:1"]}
    assert (len(yard.events("ran", f"{name}:0")), yard.ready_messages(queue)) == (1, 1)


def test_more_than_can_wait_for_a_full_queue_are_refused(yard, full_queue):
    """And kept with the reason: else they would hold up the others."""
    queue, _ = full_queue
    body = {"task": tasks.note.name, "queue": queue}

    put(yard, *[body] * (len(yard.schedulers) * MOST + 20))

    # More where one scheduler takes more than its part, as while the other stands still.
    poll(lambda: yard.ready_messages(dead_queue(INTAKE_QUEUE)) >= 20)
    properties, _ = refused(yard)
    assert ((properties.headers or {})["taskyard-reason"], queue in text_of(properties)) == (
        "queue_refuses",
        True,
    )
    put(yard, {"task": tasks.note.name}, message_id=f"{yard.queue}-beside")
    assert yard.ended(f"{yard.queue}-beside").state == "completed"


def test_a_queue_with_other_arguments_refuses_its_own_only(yard):
    """Of an array too: the others are made, and the refused one is kept by itself."""
    name = f"{yard.queue}-odd"
    body = [{"task": tasks.note.name}, {"task": tasks.note.name, "queue": name}]
    with yard.channel() as channel:
        channel.queue_declare(name)

        reply = ask(yard, body, message_id=name)

        channel.queue_delete(name)
        channel.queue_delete(dead_queue(name))
    assert (reply["status"], reply["ids"]) == ("partial", [f"{name}:0", None])
    assert [error["code"] for error in reply["errors"]] == ["queue_mismatch"]
    assert json.loads(refused(yard)[1]) == body[1]
    assert yard.ended(f"{name}:0").state == "completed"


def test_what_finds_no_queue_is_taken_all_the_same(yard):
    """Without the binding of the intake's queue: the checks, the reply and the job are those of any other."""
    name = f"{yard.queue}-unrouted"
    body = {"task": tasks.echo.name, "args": [1], "id": name}
    with yard.channel() as channel:
        replies = []
        for each in (body, {"task": tasks.echo.name, "colour": "blue"}):
            channel.queue_unbind(INTAKE_QUEUE, SUBMIT_EXCHANGE, "#")
            replies.append(ask(yard, each, key=yard.queue))
        channel.queue_bind(INTAKE_QUEUE, SUBMIT_EXCHANGE, "#")

    assert replies[0] == {"status": "accepted", "id": name}
    job = yard.ended(name)
    assert (job.state, job.queue) == ("completed", yard.queue)
    assert replies[1]["status"] == "refused"
    refused(yard)
    assert yard.ready_messages(UNROUTED) == 0


# Outcomes


def ended_reply(channel, queue: str):
    """Return the reply that tells of an end, and its properties; others are passed over."""

    def take():
        method, properties, body = channel.basic_get(queue, True)
        told = {} if method is None else json.loads(body)
        return (properties, told) if told.get("status") == "ended" else None

    return poll(take)


@pytest.fixture
def replies(yard):
    """A channel, and a queue of its connection's own."""
    with yard.channel() as channel:
        yield channel, channel.queue_declare("", exclusive=True).method.queue


def test_who_asks_for_the_result_is_told_twice(yard, replies):
    """First that the job is accepted, then how it ended, each with the correlation id."""
    channel, queue = replies
    body = {"task": tasks.add.name, "args": [1, 2], "reply": "result", "delay_s": 0.5}

    accepted = {"status": "accepted", "id": f"{yard.queue}-result"}
    put(yard, body, message_id=accepted["id"], reply_to=queue, correlation_id="c-9")

    assert (
        poll(lambda: (got := channel.basic_get(queue, True))[0] and json.loads(got[2])) == accepted
    )
    properties, told = ended_reply(channel, queue)
    assert names_of(properties, told, REPLIES) == ["ended"]
    assert ("c-9", accepted["id"], "completed", 3) == (
        properties.correlation_id,
        told["id"],
        told["state"],
        told["result"],
    )


def test_the_program_of_the_page_is_told_the_result(yard, capsys):
    """The example of docs/amqp.md, with this test's server and task."""
    page = (Path(__file__).parents[3] / "docs/amqp.md").read_text()
    program = page.partition("```python\n")[2].partition("```")[0]
    program = program.replace("amqp://guest:guest@localhost/", yard.settings.broker_url)

    exec(program.replace("background_task", tasks.add.name), {})

    assert "completed 3 None" in capsys.readouterr().out


def test_an_array_asks_for_each_job_and_failures_are_told(yard, replies):
    """`reply` is a field of each object; an error is told as in the job's document."""
    channel, queue = replies
    wanted = {"task": tasks.fail_until.name, "args": ["never"], "max_retries": 0, "reply": "result"}

    put(yard, [wanted, {"task": tasks.note.name}], message_id=f"{yard.queue}-ar", reply_to=queue)

    properties, told = ended_reply(channel, queue)
    assert names_of(properties, told, REPLIES) == ["ended"]
    assert (told["id"], told["state"]) == (f"{yard.queue}-ar:0", "failed")
    assert told["error"]["reason"] == "retries_exhausted"
    yard.ended(f"{yard.queue}-ar:1")


def test_a_producer_that_comes_back_asks_again(yard, replies):
    """The same submission with another queue: the job has ended, and its outcome is told there.

    It is known by its correlation id, which is nobody else's.
    """
    channel, queue = replies
    body = {"task": tasks.note.name, "reply": "result", "id": f"{yard.queue}-back"}
    mine = str(uuid.uuid4())
    put(yard, body, reply_to="reply.gone", correlation_id=mine)
    yard.ended(body["id"])

    put(yard, body, reply_to=queue, correlation_id=mine)

    told = ended_reply(channel, queue)[1]
    assert (body["id"], []) == (told["id"], told["omitted"])
    assert len(yard.events("ran", body["id"])) == 1


@pytest.mark.parametrize(
    ("fields", "properties"),
    [({"reply": "later"}, {"reply_to": "reply.q"}), ({"reply": 7}, {}), ({"reply": "result"}, {})],
)
def test_a_wish_that_cannot_be_met_is_refused(yard, fields, properties):
    """Another word, or no place to reply to, is a fault like any other."""
    put(yard, {"task": tasks.note.name, "tags": 5, **fields}, **properties)

    text = text_of(refused(yard)[0])
    assert "/reply: " in text
    assert "/tags: " in text


def test_an_outcome_survives_the_schedulers(yard, replies):
    """All of them die before the job ends: the store says what is owed, and the next one tells it."""
    channel, queue = replies
    gate, name = yard.new_gate(), f"{yard.queue}-dead"
    put(
        yard,
        {"task": tasks.wait_at.name, "args": [gate], "reply": "result"},
        message_id=name,
        reply_to=queue,
    )
    yard.await_event("waits", name)
    poll(
        lambda: channel.basic_get(queue, True)[0]
    )  # accepted: who wants the outcome is noted by now
    for scheduler in yard.schedulers:
        scheduler.kill()
    yard.open(gate)
    yard.ended(name)
    assert yard.store.take_replies(0, 10)[1] == 1

    yard.schedulers[0].start()

    _, told = ended_reply(channel, queue)
    assert (told["id"], told["state"]) == (name, "completed")
    poll(lambda: yard.store.take_replies(60_000, 10)[1] == 0)
