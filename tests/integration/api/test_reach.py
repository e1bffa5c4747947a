"""Keys that are bound to tasks or queues: what they do stays within these, route by route."""

import queue as queues
import threading

import pytest

from services.api.app import create_app
from services.api.auth import path_guards, permissions
from taskyard import keys
from taskyard.operations.audit_log import AuditLog
from taskyard.store.controls import Limits
from taskyard.store.dead_letters import DeadLetter
from tests.contract import jobs
from tests.polling import poll

pytest_plugins = ["tests.integration.api_fixtures"]

ALL = ("jobs:submit", "jobs:read", "jobs:operate")


@pytest.fixture
def free(caller, other_queue):
    """Who is not bound."""
    return caller(*ALL)


@pytest.fixture
def of_echo(caller, other_queue):
    """Who is bound to the task `echo`."""
    return caller(*ALL, tasks=["echo"])


@pytest.fixture
def of_queue(caller, catalogued, other_queue):
    """Who is bound to the first queue."""
    return caller(*ALL, queues=[catalogued])


@pytest.fixture
def of_both(caller, catalogued, other_queue):
    """Who is bound to `echo` in the first queue."""
    return caller(*ALL, tasks=["echo"], queues=[catalogued])


def submit(user, task="echo", **fields):
    """Submit a job that waits; return its id."""
    args = [1] if task == "add" else []
    answer = user.post("/v1/jobs", json={"task": task, "args": args, "delay_s": 3600, **fields})
    assert answer.status_code == 202, answer.json
    return answer.json["id"]


@pytest.fixture
def made(free, catalogued, other_queue):
    """Jobs of two tasks in two queues, by task and queue."""
    return {
        (task, name): submit(free, task, queue=queue)
        for task in ("echo", "add")
        for name, queue in (("a", catalogued), ("b", other_queue))
    }


def refused(answer):
    """Return whether it is refused as out of reach."""
    return (answer.status_code, (answer.json or {}).get("code")) == (403, "out_of_reach")


def test_jobs_are_submitted_within_reach_only(of_echo, of_queue, of_both, other_queue):
    """Of the task, into the queue, or both; the refusal says what the key is bound to."""
    submit(of_echo)
    submit(of_echo, queue=other_queue)
    submit(of_queue)
    submit(of_queue, "add")
    submit(of_both)

    answer = of_echo.post("/v1/jobs", json={"task": "add", "args": [1]})
    assert refused(answer)
    assert "bound to tasks echo" in answer.json["detail"]
    assert answer.json["errors"][0]["pointer"] == "/task"
    assert refused(of_queue.post("/v1/jobs", json={"task": "echo", "queue": other_queue}))
    assert refused(of_both.post("/add-task", json={"task": "echo", "queue": other_queue}))
    assert refused(of_both.post("/add-task", json={"task": "add", "args": [1]}))


def test_the_default_queue_counts_too(caller, other_queue):
    """A job that names no queue goes into its task's."""
    user = caller(*ALL, queues=[other_queue])

    assert refused(user.post("/v1/jobs", json={"task": "echo"}))
    submit(user, queue=other_queue)


def test_what_there_is_elsewhere_is_not_told(of_echo, of_queue):
    """An unknown task or queue is refused as a known one is."""
    known = of_echo.post("/v1/jobs", json={"task": "add", "args": "wrong"})
    unknown = of_echo.post("/v1/jobs", json={"task": "ad", "args": "wrong"})

    assert known.json["detail"] == unknown.json["detail"]
    assert refused(of_queue.post("/v1/jobs", json={"task": "echo", "queue": "nothing"}))
    assert refused(of_echo.post("/v1/jobs", json={"task": ["echo"]}))


def test_a_batch_is_refused_as_a_whole(of_echo):
    """And the job in question is named."""
    jobs = [{"task": "echo", "delay_s": 60}, {"task": "add", "args": [1]}]
    answer = of_echo.post("/v1/jobs/batch", json={"jobs": jobs})

    assert refused(answer)
    assert answer.json["errors"][0]["pointer"] == "/jobs/1/task"
    assert of_echo.get("/v1/jobs/count").json["count"] == 0
    assert of_echo.post("/v1/jobs/batch", json={"jobs": jobs[:1]}).status_code == 202


def test_the_id_of_a_job_elsewhere_shows_nothing_of_it(of_echo, made):
    """Neither alone nor in a batch."""
    asked = {"task": "echo", "id": made["add", "a"]}

    for answer in (
        of_echo.post("/v1/jobs", json=asked),
        of_echo.post("/v1/jobs/batch", json={"jobs": [asked]}),
    ):
        assert (answer.status_code, answer.json["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/jobs/{}", None),
        ("GET", "/task-status/{}", None),
        ("GET", "/v1/jobs/{}/events", None),
        ("GET", "/v1/jobs/{}/explain", None),
        ("PATCH", "/v1/jobs/{}", {"priority": 1}),
        ("POST", "/v1/jobs/{}/cancel", None),
        ("POST", "/v1/jobs/{}/run-now", None),
        ("POST", "/v1/jobs/{}/retry", None),
        ("DELETE", "/v1/jobs/{}", None),
    ],
)
def test_a_job_elsewhere_is_not_there(of_echo, of_queue, of_both, free, made, method, path, body):
    """It is told as one that never was, and stays as it is."""
    outside = [
        (of_echo, made["add", "a"]),
        (of_queue, made["echo", "b"]),
        (of_both, made["echo", "b"]),
        (of_both, made["add", "a"]),
    ]
    for user, job_id in outside:
        answer = user.open(path.format(job_id), method=method, json=body)
        nobody = user.open(path.format("nobody"), method=method, json=body)
        assert (answer.status_code, answer.json["code"]) == (404, "not_found")
        assert nobody.json["detail"].replace("nobody", job_id) == answer.json["detail"]
        assert free.get(f"/v1/jobs/{job_id}").json["state"] == "scheduled"
    for user in (of_echo, of_queue, of_both):
        answer = user.open(path.format(made["echo", "a"]), method=method, json=body)
        answer.close()
        assert answer.status_code in (200, 202, 409)


def test_a_job_elsewhere_takes_the_steps_of_one_that_is_not_there(
    of_echo, made, store, monkeypatch
):
    """How long the answer takes tells no more than its words."""
    looked: list[str] = []

    def noted(name):
        act = getattr(store, name)

        def call(*args, **fields):
            looked.append(name)
            return act(*args, **fields)

        return call

    for name in ("get", "begin_action", "cancel"):
        monkeypatch.setattr(store, name, noted(name))

    def steps(job_id):
        looked.clear()
        statuses = [
            of_echo.open(path.format(job_id), method=method).status_code
            for method, path in (("GET", "/v1/jobs/{}"), ("POST", "/v1/jobs/{}/cancel"))
        ]
        return statuses, list(looked)

    assert steps(made["add", "a"]) == steps("nobody") == ([404, 404], ["get", "get"])


def test_lists_and_counts_have_only_what_is_within_reach(of_echo, of_queue, of_both, free, made):
    """With filters and without, as pages too."""
    wanted = {
        of_echo: {made["echo", "a"], made["echo", "b"]},
        of_queue: {made["echo", "a"], made["add", "a"]},
        of_both: {made["echo", "a"]},
        free: set(made.values()),
    }
    for user, ids in wanted.items():
        assert {job["id"] for job in user.get("/v1/jobs").json["items"]} == ids
        by_time = user.get("/v1/jobs?order=run_at").json["items"]
        assert {job["id"] for job in by_time} == ids
        for query in ("", "?state=scheduled", "?tag=none&task=echo"):
            assert user.get(f"/v1/jobs/count{query}").json["count"] <= len(ids)
        assert len(ids) == user.get("/v1/jobs/count").json["count"]
        assert len(ids) == user.get("/v1/jobs/count?state=scheduled").json["count"]
    assert of_echo.get("/v1/jobs?task=add").json["items"] == []
    assert of_echo.get("/v1/jobs/count?task=add").json["count"] == 0


def test_running_jobs_are_narrowed_too(store, worker, free, of_queue, catalogued, other_queue):
    """They are found another way."""
    mine = free.post("/v1/jobs", json={"task": "echo"}).json["id"]
    worker.start(mine)

    assert [j["id"] for j in of_queue.get("/v1/jobs?state=running").json["items"]] == [mine]
    stranger_sees = free.get("/v1/jobs?state=running").json["items"]
    assert [j["id"] for j in stranger_sees] == [mine]


def test_many_are_cancelled_within_reach_only(of_both, free, made):
    """And an empty filter is refused, though it would mean only some."""
    assert of_both.post("/v1/jobs/cancel", json={"filter": {}}).status_code == 422
    asked = {"filter": {"state": ["scheduled"]}}
    dry = of_both.post("/v1/jobs/cancel", json={**asked, "dry_run": True}).json
    assert dry["matching"] == 1

    assert of_both.post("/v1/jobs/cancel", json=asked).json["cancelled"] == 1
    states = {job["id"]: job["state"] for job in free.get("/v1/jobs").json["items"]}
    assert states.pop(made["echo", "a"]) == "cancelled"
    assert set(states.values()) == {"scheduled"}


def test_many_are_retried_within_reach_only(of_both, free, made):
    """Like that."""
    asked = {"filter": {"state": ["cancelled"]}}
    free.post("/v1/jobs/cancel", json={"filter": {"state": ["scheduled"]}})
    assert of_both.post("/v1/jobs/retry", json={"filter": {}}).status_code == 422
    assert of_both.post("/v1/jobs/retry", json={**asked, "dry_run": True}).json["matching"] == 1

    assert of_both.post("/v1/jobs/retry", json=asked).json["retried"] == 1
    states = {job["id"]: job["state"] for job in free.get("/v1/jobs").json["items"]}
    assert states.pop(made["echo", "a"]) == "pending"
    assert set(states.values()) == {"cancelled"}


def test_an_explanation_names_no_job_elsewhere(
    store, of_echo, of_queue, free, catalogued, other_queue
):
    """What another queue's job holds is counted, and not told by whom."""
    store.set_limits("echo", Limits(concurrency=1))
    theirs = submit(free, queue=other_queue, delay_s=0)
    mine = submit(free, queue=catalogued, delay_s=0)
    jobs.heartbeat(store)
    for job_id, name in ((theirs, other_queue), (mine, catalogued)):
        jobs.claim(store, job_id, queue=name, task="echo")

    def holders(user):
        answer = user.get(f"/v1/jobs/{mine}/explain")
        found = [f for f in answer.json["findings"] if f["code"] == "concurrency_limit"]
        assert [each["facts"]["holding"] for each in found] == [1]
        assert (theirs in answer.get_data(as_text=True)) == bool(found[0]["facts"]["holders"])
        return [each["id"] for each in found[0]["facts"]["holders"]]

    assert [theirs] == holders(free) == holders(of_echo)
    assert holders(of_queue) == []


def test_tasks_and_queues_that_are_listed(
    of_echo, of_queue, of_both, free, catalogued, other_queue
):
    """Only those; what is told of a queue is of all its tasks, so it is for who may see all."""

    def names(user, kind, field):
        return {each[field] for each in user.get(f"/v1/{kind}").json["items"]}

    assert names(of_echo, "tasks", "name") == {"echo"}
    assert names(of_queue, "tasks", "name") == {"add", "echo", "once"}
    assert names(of_queue, "queues", "queue") == {catalogued}
    assert names(free, "queues", "queue") == {catalogued, other_queue}
    assert refused(of_echo.get("/v1/queues"))
    assert refused(of_both.get("/v1/queues"))


def test_what_is_of_the_whole_system_is_refused(of_echo, of_queue):
    """It would tell of what is elsewhere."""
    for path in ("/v1/stats", "/v1/workers"):
        assert refused(of_echo.get(path))
        assert refused(of_queue.get(path))


LIMITS = {"concurrency": 1, "rate": None}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/tasks/{}/pause", None),
        ("POST", "/v1/tasks/{}/resume", None),
        ("PUT", "/v1/tasks/{}/limits", LIMITS),
        ("DELETE", "/v1/tasks/{}/limits", None),
    ],
)
def test_a_task_is_controlled_by_who_has_all_of_it(of_echo, of_queue, of_both, method, path, body):
    """Not by who is bound to a queue: it would hold for others' queues too."""
    assert of_echo.open(path.format("echo"), method=method, json=body).status_code == 200
    assert refused(of_echo.open(path.format("add"), method=method, json=body))
    assert refused(of_queue.open(path.format("echo"), method=method, json=body))
    assert refused(of_both.open(path.format("echo"), method=method, json=body))


def test_limits_are_read_of_tasks_within_reach(of_echo, of_queue, of_both):
    """In whichever queue."""
    for user in (of_echo, of_queue, of_both):
        assert user.get("/v1/tasks/echo/limits").status_code == 200
    assert refused(of_echo.get("/v1/tasks/add/limits"))
    assert refused(of_both.get("/v1/tasks/add/limits"))


@pytest.mark.parametrize("what", ["pause", "resume", "purge"])
def test_a_queue_is_controlled_by_who_has_all_of_it(
    of_echo, of_queue, of_both, catalogued, other_queue, what
):
    """Not by who is bound to a task: others' jobs are in it too."""
    assert of_queue.post(f"/v1/queues/{catalogued}/{what}").status_code == 200
    assert refused(of_queue.post(f"/v1/queues/{other_queue}/{what}"))
    assert refused(of_echo.post(f"/v1/queues/{catalogued}/{what}"))
    assert refused(of_both.post(f"/v1/queues/{catalogued}/{what}"))


def schedule(name, task="echo", **fields):
    return {"name": name, "task": task, "args": [1], "every_s": 3600, **fields}


def test_schedules_within_reach(of_echo, of_both, free, other_queue):
    """Listed, added, replaced and previewed only where their jobs may be submitted."""
    assert of_both.post("/v1/schedules", json=schedule("mine")).status_code == 201
    free.post("/v1/schedules", json=schedule("theirs", "add"))
    free.post("/v1/schedules", json=schedule("elsewhere", queue=other_queue))

    listed = [each["name"] for each in of_both.get("/v1/schedules").json["items"]]
    assert listed == ["mine"]
    listed = [each["name"] for each in of_echo.get("/v1/schedules").json["items"]]
    assert listed == ["elsewhere", "mine"]
    for wrong in (schedule("new", "add"), schedule("new", queue=other_queue)):
        assert refused(of_both.post("/v1/schedules", json=wrong))
        assert refused(of_both.open("/v1/schedules/new", method="PUT", json=wrong))
        assert refused(of_both.post("/v1/schedules/preview", json=wrong))
        mine = {**wrong, "name": "mine"}
        assert refused(of_both.open("/v1/schedules/mine", method="PUT", json=mine))
    assert of_both.post("/v1/schedules/preview", json=schedule("new")).status_code == 200
    changed = schedule("mine", every_s=60)
    assert of_both.open("/v1/schedules/mine", method="PUT", json=changed).status_code == 200


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("GET", ""),
        ("PUT", ""),
        ("POST", "/pause"),
        ("POST", "/resume"),
        ("POST", "/trigger"),
        ("GET", "/preview"),
        ("GET", "/history"),
        ("DELETE", ""),
    ],
)
def test_a_schedule_elsewhere_is_refused(of_both, free, other_queue, method, rest):
    """Whatever is asked of it, also to be replaced by one that is within reach."""
    free.post("/v1/schedules", json=schedule("theirs", "add"))
    free.post("/v1/schedules", json=schedule("elsewhere", queue=other_queue))
    free.post("/v1/schedules", json=schedule("mine"))

    body = schedule("") if method == "PUT" else None
    for name in ("theirs", "elsewhere"):
        sent = {**body, "name": name} if body else None
        assert refused(of_both.open(f"/v1/schedules/{name}{rest}", method=method, json=sent))
        assert free.get(f"/v1/schedules/{name}").status_code == 200
    sent = {**body, "name": "mine"} if body else None
    answer = of_both.open(f"/v1/schedules/mine{rest}", method=method, json=sent)
    assert answer.status_code in (200, 202, 204)
    assert answer.status_code != 403


@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("moment", ["guard", "route"])
def test_a_schedule_that_has_come_out_of_reach_stays(
    settings, dispatcher, free, of_both, monkeypatch, method, is_there, moment
):
    """Another one writes it between the look at it and the change."""
    late = create_app(settings, dispatcher).test_client()
    unwritten = [schedule("one", "add")]

    def write():
        while unwritten:
            free.open("/v1/schedules/one", method="PUT", json=unwritten.pop())

    if is_there:
        assert free.post("/v1/schedules", json=schedule("one")).status_code == 201
    if moment == "guard":
        late.application.before_request(write)
    else:
        record = AuditLog.recording
        monkeypatch.setattr(AuditLog, "recording", lambda *a, **kw: write() or record(*a, **kw))

    body = schedule("one") if method == "PUT" else None
    key = {"Authorization": f"Bearer {of_both.token}"}
    answer = late.open("/v1/schedules/one", method=method, json=body, headers=key)

    assert answer.status_code in (403, 412)
    assert free.get("/v1/schedules/one").json["task"] == "add"


def letter(letter_id, task, queue, *, is_job=True):
    return DeadLetter(
        id=letter_id,
        is_job=is_job,
        queue=queue,
        task=task,
        reason="unknown_task",
        error_type="E",
        error_message="m",
        fingerprint=f"f-{task}",
        attempts=1,
        failed_at_ms=1_000_000 + int(letter_id[-1]),
        first_failed_at_ms=1_000_000,
        worker="w",
        priority=5,
        body_bytes=2,
    )


@pytest.fixture
def letters(store, catalogued, other_queue):
    """Dead letters: `l1` of echo and `l2` of add in the first queue, `l3` of echo in the second."""
    found = [
        letter("l1", "echo", catalogued),
        letter("l2", "add", catalogued),
        letter("l3", "echo", other_queue),
        letter("l4", "echo", catalogued, is_job=False),
        letter("l5", "add", catalogued, is_job=False),
    ]
    body = '{"queue_name":"q","actor_name":"echo","args":[],"kwargs":{},"options":{},'
    store.index_dead_letters(
        [(each, body + f'"message_id":"{each.id}","message_timestamp":1}}') for each in found]
    )
    return found


def ids(answer):
    return {each["id"] for each in answer.json["items"]}


def test_dead_letters_within_reach(of_echo, of_queue, of_both, free, letters):
    """Listed, grouped and shown."""
    assert ids(of_echo.get("/v1/dead-letters")) == {"l1", "l3", "l4"}
    assert ids(of_queue.get("/v1/dead-letters")) == {"l1", "l2", "l4", "l5"}
    assert ids(of_both.get("/v1/dead-letters")) == {"l1", "l4"}
    assert ids(of_both.get("/v1/dead-letters?task=add")) == set()
    groups = of_echo.get("/v1/dead-letters/groups").json["items"]
    assert [each["fingerprint"] for each in groups] == ["f-echo"]
    assert refused(of_queue.get("/v1/dead-letters/groups"))
    assert refused(of_both.get("/v1/dead-letters/groups"))
    assert of_both.get("/v1/dead-letters/l1").status_code == 200
    for user, letter_id in ((of_echo, "l2"), (of_queue, "l3"), (of_both, "l2"), (of_both, "l3")):
        assert user.get(f"/v1/dead-letters/{letter_id}").status_code == 404


def test_dead_letters_are_purged_within_reach(of_both, free, letters):
    """By a filter only those are found; by their ids others are not there."""
    answer = of_both.post("/v1/dead-letters/purge", json={"ids": ["l1", "l2"]})
    assert (answer.status_code, [e["pointer"] for e in answer.json["errors"]]) == (422, ["/ids/1"])
    dry = of_both.post("/v1/dead-letters/purge", json={"filter": {}, "dry_run": True}).json
    assert dry == {"matched": 2, "done": 0}

    assert of_both.post("/v1/dead-letters/purge", json={"filter": {}}).json["done"] == 2
    assert ids(free.get("/v1/dead-letters")) == {"l2", "l3", "l5"}


def test_dead_letters_are_replayed_within_reach(of_both, of_echo, of_queue, caller, free, letters):
    """Who did it sees and stops the replay, and who reaches all of it; others know nothing of it."""
    path = "/v1/dead-letters/replay"
    assert of_both.post(path, json={"ids": ["l2"]}).status_code == 422
    assert of_both.post(path, json={"ids": ["l2"], "args": []}).status_code == 404
    theirs = free.post(path, json={"filter": {}}).json["id"]
    mine = of_both.post(path, json={"filter": {}}).json
    assert mine["total"] == 1

    for user in (of_both, of_echo, of_queue, free):
        assert user.get(f"/v1/dead-letters/replays/{mine['id']}").status_code == 200
        assert mine["id"] in ids(user.get("/v1/dead-letters/replays"))
    stranger = caller(*ALL, tasks=["add"])
    for user, replay_id in ((of_both, theirs), (stranger, mine["id"])):
        assert user.get(f"/v1/dead-letters/replays/{replay_id}").status_code == 404
        assert user.post(f"/v1/dead-letters/replays/{replay_id}/stop").status_code == 404
        assert replay_id not in ids(user.get("/v1/dead-letters/replays"))
    assert free.get(f"/v1/dead-letters/replays/{theirs}").json["state"] == "running"
    stopped = of_both.post(f"/v1/dead-letters/replays/{mine['id']}/stop").json
    assert stopped["state"] == "stopped"


def test_dead_letters_are_resubmitted_within_reach(of_both, letters):
    """Neither from elsewhere nor to elsewhere."""
    asked = {"task": "echo", "delay_s": 60}

    assert of_both.post("/v1/dead-letters/l5/resubmit", json=asked).status_code == 404
    other = {"task": "add", "args": [1]}
    assert refused(of_both.post("/v1/dead-letters/l4/resubmit", json=other))
    assert of_both.post("/v1/dead-letters/l4/resubmit", json=asked).status_code == 202


class Listener:
    """Reads a stream in a thread."""

    def __init__(self, answer):
        self.lines: queues.Queue[str] = queues.Queue()
        self.has_ended = False
        self._chunks = answer.response
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for chunk in self._chunks:
            self.lines.put(chunk.decode() if isinstance(chunk, bytes) else chunk)
        self.has_ended = True

    def next(self):
        return self.lines.get(timeout=30)


def test_the_stream_of_all_jobs_tells_those_within_reach(store, of_queue, free, made):
    """The ends of others are not told."""
    answer = of_queue.get("/v1/events")
    listener = Listener(answer)
    assert "hello" in listener.next()

    poll(
        lambda: (
            free.post(f"/v1/jobs/{submit(free)}/cancel").status_code == 200
            and listener.lines.qsize()
        )
    )
    free.post(f"/v1/jobs/{made['add', 'b']}/cancel")
    free.post(f"/v1/jobs/{made['echo', 'a']}/cancel")
    told = [listener.next()]
    while made["echo", "a"] not in told[-1]:
        told.append(listener.next())
    assert made["add", "b"] not in "".join(told)
    store.revoke_keys([keys.token_id(of_queue.token)])
    poll(lambda: listener.has_ended)
    answer.close()


@pytest.mark.parametrize("path", ["/v1/events", "/v1/jobs/{}/events"])
def test_a_stream_ends_when_its_key_is_revoked(store, of_echo, made, path):
    """Within the second or two that this takes."""
    answer = of_echo.get(path.format(made["echo", "a"]))
    listener = Listener(answer)
    listener.next()

    store.revoke_keys([keys.token_id(of_echo.token)])

    poll(lambda: listener.has_ended)
    answer.close()


def test_a_stream_of_nobody_ends_when_there_is_a_key(api, caller):
    """It began when none was needed."""
    answer = api.get("/v1/events")
    listener = Listener(answer)
    listener.next()

    caller("admin")

    poll(lambda: listener.has_ended)
    answer.close()


def test_every_guard_is_tried_here():
    """A new way to keep a key within reach needs a test in this file."""
    known = {
        path_guards.by_route,
        path_guards.unbound_only,
        path_guards.job,
        path_guards.task,
        path_guards.whole_task,
        path_guards.whole_queue,
        path_guards.queues_of_all_tasks,
        path_guards.tasks_of_all_queues,
        path_guards.schedule,
    }

    assert {rule.guard for rule in permissions.RULES.values()} == known


#: Routes that keep within reach by themselves, each tried above.
BY_ROUTE = frozenset(
    {
        "POST /v1/jobs",
        "POST /add-task",
        "POST /v1/jobs/batch",
        "GET /v1/jobs",
        "GET /v1/jobs/count",
        "POST /v1/jobs/cancel",
        "POST /v1/jobs/retry",
        "GET /v1/events",
        "GET /v1/tasks",
        "GET /v1/schedules",
        "POST /v1/schedules",
        "POST /v1/schedules/preview",
        "GET /v1/dead-letters",
        "GET /v1/dead-letters/<letter_id>",
        "POST /v1/dead-letters/purge",
        "POST /v1/dead-letters/replay",
        "GET /v1/dead-letters/replays",
        "GET /v1/dead-letters/replays/<replay_id>",
        "POST /v1/dead-letters/replays/<replay_id>/stop",
        "POST /v1/dead-letters/<letter_id>/resubmit",
    }
)


def test_routes_that_keep_within_reach_by_themselves_are_known():
    """Whoever adds one also adds a test of it here."""
    assert {
        r for r, rule in permissions.RULES.items() if rule.guard is path_guards.by_route
    } == BY_ROUTE
