"""What a submitter is told of a job that was there before: each door, for each key, whatever leads to it."""

import itertools
import json
import uuid
from typing import Any

import pytest
from msgspec.structs import replace

from services.scheduler.chores.fire import Fire
from services.scheduler.chores.outcome_sender import OutcomeSender
from services.scheduler.intake.chore import Intake
from taskyard import task
from taskyard.arguments.signature import described
from taskyard.catalogue import describe
from taskyard.errors import InTheWay
from taskyard.job import STATE_FIELDS
from taskyard.job_creation import Defaults, UniqueRule
from taskyard.rabbitmq.confirms import Undelivered
from taskyard.rabbitmq.outgoing import Outgoing
from taskyard.request import JobRequest
from taskyard.runtime.apart import Apart
from taskyard.schedules.plan import ScheduleState, decode_state, encode
from taskyard.store.schedules import ScheduleWrite
from tests.contract import jobs
from tests.integration.intake.test_apart import Door
from tests.integration.letters import strangers_entry
from tests.polling import poll

pytest_plugins = ["tests.integration.api_fixtures"]

FIRE_ID = "nightly:20261125T023000Z"
SECRET = "the victim's own"
RESULT = "what came out"


@task
def plain(value: object = None) -> object:
    """Give back what was given."""
    return value


@task(unique_for=3600)
def like_existing(value: object = None) -> object:
    """Give back what was given; one like it is the same job."""
    return value


@task(unique_for=3600, unique_policy="reject")
def like_reject(value: object = None) -> object:
    """Give back what was given; one like it is refused."""
    return value


@task(unique_for=3600, unique_policy="replace")
def like_replace(value: object = None) -> object:
    """Give back what was given; one like it takes its place."""
    return value


TASKS = (plain, like_existing, like_reject, like_replace)


@pytest.fixture
def places(api, store, queue, other_queue, publisher):
    """The queues: that of the victim's job, and another one."""
    known = Defaults(queue=queue, priority=4, max_retries=2, timeout_s=60)
    store.declare([describe(each, known) for each in TASKS], [queue, other_queue])
    publisher.start()
    poll(lambda: publisher.is_ready)
    return {"own": queue, "other": other_queue}


@pytest.fixture
def victim(caller, places, store):
    """A function that has an admin submit a job; it returns its id."""

    def make(name: str, *, has_ended: bool) -> str:
        body = {"task": name, "args": [SECRET], "id": f"victim-{name}", "tags": ["t"]}
        made = caller("admin").post("/v1/jobs", json={**body, "queue": places["own"]})
        assert made.status_code == 202, made.json
        if has_ended:
            jobs.heartbeat(store)
            token = jobs.claim(store, made.json["id"], queue=places["own"], task=name).token
            jobs.settle(store, made.json["id"], token, result=json.dumps(RESULT))
        return str(made.json["id"])

    return make


def stranger_letter(store, queue):
    """Keep a message that never was a job; return the dead letter's id."""
    letter_id = f"letter-{uuid.uuid4().hex}"
    store.index_dead_letters([(strangers_entry(letter_id, queue), "{")])
    return letter_id


class Doors:
    """All ways in which a job is submitted with a key."""

    def __init__(self, user, admin, store, queue) -> None:
        self._user, self._admin, self._store, self._queue = user, admin, store, queue
        self.letter = ""

    def open(self, door, body, key=None):
        """Submit; return status and answer, of a batch those of its job."""
        headers = {} if key is None else {"Idempotency-Key": key}
        if door == "batch":
            answer = self._user.post("/v1/jobs/batch", json={"jobs": [body]}, headers=headers)
            told = answer.json
            if answer.status_code == 202:
                (told,) = told["items"]
            return (200 if told.get("is_new") is False else answer.status_code), told
        if door == "resubmit":
            self.letter = stranger_letter(self._store, self._queue)
            path = f"/v1/dead-letters/{self.letter}/resubmit"
        elif door == "trigger":
            name = f"s-{uuid.uuid4().hex}"
            made = self._admin.post("/v1/schedules", json={"name": name, "every_s": 9999, **body})
            assert made.status_code == 201, made.json
            path, body = f"/v1/schedules/{name}/trigger", None
        else:
            path = door
        answer = self._user.post(path, json=body, headers=headers)
        return answer.status_code, answer.json


DOORS = ("/v1/jobs", "/add-task", "batch", "resubmit", "trigger")
SCOPES = ("submit", "submit and read")
BINDINGS = ("none", "its queue", "another queue")
WAYS = ("id", "id and arguments", "idempotency key", "existing", "reject", "replace", "fire id")
#: A schedule gives no id, and only submissions take keys.
IMPOSSIBLE = {
    *itertools.product(["trigger"], ["id", "id and arguments", "idempotency key", "fire id"]),
    ("resubmit", "idempotency key"),
}
TABLE = [
    row
    for row in itertools.product(DOORS, SCOPES, BINDINGS, WAYS)
    if (row[0], row[3]) not in IMPOSSIBLE
]


@pytest.mark.parametrize(("door", "scopes", "binding", "way"), TABLE)
def test_a_job_that_was_there(caller, places, store, victim, door, scopes, binding, way):
    """Within reach its state, unless the key reads; out of reach a code, and the job stays as it was."""
    is_unique = way in ("existing", "reject", "replace")
    name = f"like_{way}" if is_unique else "plain"
    victim_id = victim(name, has_ended=not is_unique)
    (before,) = store.get([victim_id])
    bound_to = {"none": (), "its queue": (places["own"],), "another queue": (places["other"],)}
    granted = ["jobs:submit", *(["jobs:read"] if "read" in scopes else [])]
    granted += ["jobs:operate"] if door in ("resubmit", "trigger") else []
    user = caller(*granted, queues=bound_to[binding])
    queue = places["other" if binding == "another queue" else "own"]
    doors = Doors(user, caller("admin"), store, queue)
    body = {"task": name, "args": [SECRET], "queue": queue}
    body |= {} if is_unique else {"id": FIRE_ID if way == "fire id" else victim_id}
    body |= {"args": ["a guess"]} if way == "id" else {}

    key = "k" if way == "idempotency key" else None
    answers = [doors.open(door, body, key) for _ in range(2 if key else 1)]

    (after,) = store.get([victim_id])
    is_reached = binding != "another queue"
    for answer in answers:
        if way == "fire id":
            told_fault(answer, "fire_id")
        elif not is_reached:
            told_nothing(answer)
        elif way == "reject":
            told_rejected(answer, victim_id, is_batch=door == "batch")
        elif way == "replace":
            assert (answer[0], after.state, after.reason) == (202, "cancelled", "replaced")
        else:
            told_job(answer, after, may_read="read" in scopes and door != "batch")
    assert before == after or way == "replace"
    if door == "resubmit" and (not is_reached or way == "fire id"):
        assert store.dead_letters([doors.letter]) != [None]


def told_fault(answer, code):
    """Refused for what is wrong with it, whatever there is."""
    status, told = answer
    assert (status, [each["code"] for each in told["errors"]]) == (422, [code])


def told_nothing(answer):
    """Refused with a code, always in the same words."""
    status, told = answer
    assert (status, told["code"], told["detail"]) == (409, "conflict", str(InTheWay()))
    assert set(told) == {"type", "title", "status", "code", "detail", "request_id"}


def told_rejected(answer, job_id, *, is_batch):
    """Refused, with the id of the job that is like it."""
    status, told = answer
    if is_batch:
        assert (status, told["id"], told["is_rejected"]) == (200, job_id, True)
    else:
        assert (status, told["code"], told["job_id"]) == (409, "not_unique", job_id)


def told_job(answer, job, *, may_read):
    """That job, or its state and nothing else; a batch adds what became of the request."""
    status, told = answer
    of_request = {"is_new", "is_rejected"}
    assert (status, told["id"], told["state"]) == (200, job.id, job.state)
    if may_read:
        assert told["args"] == [SECRET]
    else:
        assert set(told) - of_request == set(STATE_FIELDS)


def test_the_way_to_a_refusal_is_the_same_for_all_jobs_out_of_reach(
    caller, places, store, victim, monkeypatch
):
    """Its state, and what is in the way, do not show in the steps; nor is it read beforehand."""
    ended, waiting = victim("plain", has_ended=True), victim("like_replace", has_ended=False)
    user = caller("jobs:submit", queues=[places["other"]])
    body = {"queue": places["other"], "args": [SECRET]}
    fresh = {**body, "task": "plain"}
    assert user.post("/v1/jobs", json=fresh).status_code == 202  # the catalogue is read
    steps: list[str] = []
    run = store.run

    def note(name, *args):
        steps.append(name)
        return run(name, *args)

    monkeypatch.setattr(store, "run", note)

    def asked(**fields):
        steps.clear()
        answer = user.post("/v1/jobs", json={**body, **fields})
        told = {**answer.json, "request_id": ""}
        return answer.status_code, told, [each for each in steps if each not in PERIODIC]

    found = [
        asked(task="plain", id=ended),
        asked(task="plain", id=waiting),
        asked(task="like_replace"),
    ]

    assert found[0][0] == 409
    assert found[0][2] == ["create"]
    assert all(each == found[0] for each in found)


#: Once in a while, whatever is asked; of jobs that were submitted before, in the background.
PERIODIC = frozenset({"key_ring", "use_keys", "mark_published"})


def test_an_idempotency_key_shows_what_it_made(caller, places):
    """The first answer again, with the job as it is now, though the key cannot read."""
    user = caller("jobs:submit")
    body = {"task": "plain", "args": [SECRET], "queue": places["own"], "id": "mine"}

    first, again = (
        user.post("/v1/jobs", json=body, headers={"Idempotency-Key": "k"}) for _ in range(2)
    )

    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json == again.json
    assert first.json["args"] == [SECRET]


def test_an_idempotency_key_does_not_show_a_later_job_of_its_id(caller, places, store, victim):
    """It made a job of this id, which is gone; another one has made this."""
    user, admin = caller("jobs:submit"), caller("admin")
    body = {"task": "plain", "args": [1], "queue": places["own"], "id": "victim-plain"}
    sent = {"json": body, "headers": {"Idempotency-Key": "k"}}
    assert user.post("/v1/jobs", **sent).status_code == 202
    jobs.heartbeat(store)
    token = jobs.claim(store, body["id"], queue=places["own"], task="plain").token
    jobs.settle(store, body["id"], token)
    assert admin.open("/v1/jobs/victim-plain", method="DELETE").status_code == 204
    made_at = store.now_ms()
    poll(lambda: store.now_ms() > made_at)
    victim("plain", has_ended=True)

    again = user.post("/v1/jobs", **sent)

    assert (again.status_code, set(again.json)) == (200, set(STATE_FIELDS))


def test_a_batch_with_one_out_of_reach_makes_none(caller, places, store, victim):
    """All or none, and the answer does not say which."""
    victim_id = victim("plain", has_ended=False)
    user = caller("jobs:submit", "jobs:read", queues=[places["other"]])
    asked = [{"task": "plain", "queue": places["other"], "id": each} for each in ("a", victim_id)]

    answer = user.post("/v1/jobs/batch", json={"jobs": asked})

    assert (answer.status_code, answer.json["code"]) == (409, "conflict")
    assert victim_id not in answer.get_data(as_text=True)
    assert store.get(["a"]) == [None]


def test_a_rival_of_a_job_within_reach_is_not_cancelled(caller, places, store, victim):
    """A job that is about to replace one elsewhere is not replaced either: both would go."""
    victim_id = victim("like_replace", has_ended=False)
    made = jobs.new_job(
        task="like_replace", queue=places["other"], unique=_lock_of(store, victim_id)
    )
    store.create([made])  # and its message is not confirmed yet
    user = caller("jobs:submit", queues=[places["other"]])

    body = {"task": "like_replace", "args": [SECRET], "queue": places["other"]}
    answer = user.post("/v1/jobs", json=body)

    assert (answer.status_code, answer.json["code"]) == (409, "conflict")
    assert store.get([victim_id])[0].state == "pending"


def _lock_of(store, job_id):
    (job,) = store.get([job_id])
    rule = UniqueRule(
        for_s=3600, policy="replace", signature=lambda: described(like_replace.function)
    )
    return rule.unique(JobRequest(task=like_replace.name, args=job.message.args))


@pytest.mark.parametrize("policy", ["existing", "reject", "replace"])
def test_a_schedule_fires_within_the_reach_of_who_wrote_it(
    caller, places, store, victim, dispatcher, settings, policy
):
    """Its jobs are made by the scheduler, and cross the binding of the key no more than its own."""
    victim_id = victim(f"like_{policy}", has_ended=False)
    (before,) = store.get([victim_id])
    user = caller("jobs:submit", "jobs:operate", queues=[places["other"]])
    body = {"task": f"like_{policy}", "args": [SECRET], "queue": places["other"], "every_s": 3600}
    assert user.post("/v1/schedules", json={"name": "s", **body}).status_code == 201
    _make_due(store, "s")

    while Fire(dispatcher, settings, None).run_once() == 0:
        pass

    (event,) = caller("admin").get("/v1/schedules/s/history").json["items"]
    assert (event["outcome"], event["job_id"], event["reason"]) == (
        "refused",
        None,
        str(InTheWay()),
    )
    assert store.get([victim_id]) == [before]
    replaced = caller("admin").open("/v1/schedules/s", method="PUT", json={**body, "name": "s"})
    assert replaced.status_code == 200
    assert decode_state(store.schedule("s").state).reach is None


@pytest.mark.parametrize("policy", ["existing", "reject"])
def test_a_schedule_names_no_job_elsewhere(
    caller, places, store, victim, dispatcher, settings, policy
):
    """One that an admin wrote may find such a job; a bound key that sees the schedule does not see that."""
    victim_id = victim(f"like_{policy}", has_ended=False)
    admin, user = caller("admin"), caller("jobs:read", queues=[places["other"]])
    body = {"task": f"like_{policy}", "args": [SECRET], "queue": places["other"], "every_s": 3600}
    assert admin.post("/v1/schedules", json={"name": "s", **body}).status_code == 201
    _make_due(store, "s")
    while Fire(dispatcher, settings, None).run_once() == 0:
        pass

    def told(user):
        paths = ("/v1/schedules", "/v1/schedules/s", "/v1/schedules/s/history")
        return [victim_id in user.get(path).get_data(as_text=True) for path in paths]

    is_fired = policy == "existing"
    assert told(admin) == [is_fired, is_fired, True]
    assert told(user) == [False, False, False]


def _make_due(store, name):
    row = store.schedule(name)
    state: ScheduleState = decode_state(row.state)
    now_ms = store.now_ms()
    due = encode(replace(state, next_at=now_ms))
    assert store.write_schedule(
        ScheduleWrite(
            name=name,
            revision=row.revision,
            spec=row.spec,
            state=due,
            version=row.version,
            due_at_ms=now_ms,
        )
    )


def test_a_retry_does_not_tell_who_has_its_lock(caller, places, store):
    """Unless that is within reach."""
    admin = caller("admin")
    user = caller("jobs:operate", queues=[places["other"]])
    body = {"task": "like_existing", "args": [SECRET]}
    mine = admin.post("/v1/jobs", json={**body, "queue": places["other"], "delay_s": 60}).json
    admin.post(f"/v1/jobs/{mine['id']}/cancel")
    theirs = admin.post("/v1/jobs", json={**body, "queue": places["own"]}).json

    refused, told = (each.post(f"/v1/jobs/{mine['id']}/retry") for each in (user, admin))

    assert (refused.status_code, refused.json["code"]) == (409, "conflict")
    assert theirs["id"] not in refused.get_data(as_text=True)
    assert (told.status_code, told.json["job_id"]) == (409, theirs["id"])


class Producers:
    """Programs that submit over AMQP, and what each is told of the ends of jobs."""

    def __init__(self, dispatcher, settings) -> None:
        self._door = Door()
        consumer: Any = self._door
        self._intake = Intake(dispatcher, consumer, settings)
        self._store = dispatcher.store
        self._sent: list[Outgoing] = []
        self._sender = OutcomeSender(self._store, self._publish, Apart("reply"), settings)

    def _publish(self, replies):
        self._sent += replies
        return Undelivered([], [])

    def ask(self, job_id, *, reply_to, correlation_id=None, **fields):
        """Submit a job, asking for its result."""
        self._door.put(job_id, **{"reply": "result", **fields})
        self._door.waiting = [
            replace(each, reply_to=reply_to, correlation_id=correlation_id)
            for each in self._door.waiting
        ]
        self._intake.run_once()
        return self._door.answers[job_id]

    def told(self):
        """Return what each queue was told of ends."""
        owed, _ = self._store.take_replies(0, 100)
        self._store.mark_replied(self._sender.send(owed))
        told = {each.queue: json.loads(each.body) for each in self._sent}
        self._sent.clear()
        return told


@pytest.fixture
def producers(places, dispatcher, settings):
    """Programs that submit over AMQP."""
    return Producers(dispatcher, settings)


def is_state_only(told, job_id):
    """Return whether an outcome tells the state and nothing else, and says so."""
    names = {"status", "omitted", *STATE_FIELDS}
    return (
        (told["id"], told["state"]) == (job_id, "completed")
        and set(told) == names
        and {"result", "args", "task", "queue", "error"} <= set(told["omitted"])
    )


@pytest.mark.parametrize("way", ["id", "id and arguments", "existing"])
def test_over_amqp_the_result_of_another_s_job_is_not_told(places, store, victim, producers, way):
    """Whatever it asks for; the user `producer` of RabbitMQ may submit, and no more."""
    name = "like_existing" if way == "existing" else "plain"
    victim_id = victim(name, has_ended=way != "existing")
    guess = ["a guess"] if way == "id" else [SECRET]

    answer = producers.ask(
        "mine" if way == "existing" else victim_id,
        reply_to="amq.gen-thief",
        correlation_id=victim_id,
        task=name,
        args=guess,
    )

    assert answer == {"status": "accepted", "id": victim_id}
    if way == "existing":
        jobs.heartbeat(store)
        token = jobs.claim(store, victim_id, queue=places["own"], task=name).token
        jobs.settle(store, victim_id, token, result=json.dumps(RESULT))
    assert is_state_only(producers.told()["amq.gen-thief"], victim_id)


KNOWN_ONLY_TO_IT = "5b0c1f6e-8f6d-4c7e-9a51-0d6c3a1f2b44"


@pytest.mark.parametrize(
    ("reply_to", "correlation_id", "is_whole"),
    [
        ("amq.gen-first", None, True),
        ("amq.gen-first", KNOWN_ONLY_TO_IT, True),
        ("amq.gen-second", KNOWN_ONLY_TO_IT, True),
        ("amq.gen-second", None, False),
        ("amq.gen-second", KNOWN_ONLY_TO_IT.upper(), False),
        ("amq.gen-second", "", False),
    ],
)
def test_a_submission_that_comes_again_is_told_the_result(
    places, store, producers, reply_to, correlation_id, is_whole
):
    """With the same queue, or with a new one and a correlation id that nobody else knows."""
    body = {"task": "plain", "args": [1], "queue": places["own"]}
    producers.ask(
        "job", reply_to="amq.gen-first", correlation_id=KNOWN_ONLY_TO_IT, **body, reply="accepted"
    )
    jobs.heartbeat(store)
    token = jobs.claim(store, "job", queue=places["own"], task="plain").token
    jobs.settle(store, "job", token, result=json.dumps(RESULT))

    producers.ask("job", reply_to=reply_to, correlation_id=correlation_id, **body)

    told = producers.told()[reply_to]
    assert (told.get("result") == RESULT) == is_whole
    assert is_state_only(told, "job") != is_whole


@pytest.mark.parametrize("correlation_id", ["1", "1764532205123456789", "order-4711-of-customer"])
def test_a_correlation_id_that_others_can_guess_is_no_proof(
    places, store, producers, correlation_id
):
    """Counters, clocks and the job's own id."""
    job_id = "order-4711-of-customer-17"
    body = {"task": "plain", "args": [1], "queue": places["own"]}
    producers.ask(job_id, reply_to="amq.gen-first", correlation_id=correlation_id, **body)
    producers.ask(job_id, reply_to="amq.gen-thief", correlation_id=correlation_id, **body)
    jobs.heartbeat(store)
    token = jobs.claim(store, job_id, queue=places["own"], task="plain").token
    jobs.settle(store, job_id, token, result=json.dumps(RESULT))

    told = producers.told()

    assert told["amq.gen-first"]["result"] == RESULT
    assert is_state_only(told["amq.gen-thief"], job_id)


def test_others_do_not_crowd_out_the_submitter(places, store, producers):
    """Only so many are told of an end; who submitted the job is among them."""
    body = {"task": "plain", "args": [1], "queue": places["own"]}
    for name in ("owner", *(f"thief-{n}" for n in range(20))):
        producers.ask("job", reply_to=f"amq.gen-{name}", **body)
    jobs.heartbeat(store)
    token = jobs.claim(store, "job", queue=places["own"], task="plain").token
    jobs.settle(store, "job", token, result=json.dumps(RESULT))

    told = producers.told()

    assert told["amq.gen-owner"]["result"] == RESULT
    assert len(told) == 10
