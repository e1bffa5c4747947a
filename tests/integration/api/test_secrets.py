"""Secret arguments over REST: hidden wherever they are shown, kept wherever a job is changed."""

import json
from typing import Annotated, Any

import pytest

from services.api.app import create_app
from taskyard import Secret, task
from taskyard.arguments.secrets import HIDDEN
from taskyard.catalogue import describe
from taskyard.job_creation import Defaults
from tests.contract import jobs
from tests.integration.letters import entry

pytest_plugins = ["tests.integration.api_fixtures"]

CARD = "4111-1111-1111"
ASKED = {"task": "charge", "args": [CARD, 5], "kwargs": {"pin": CARD}}
SHOWN = ([HIDDEN, 5], {"pin": HIDDEN})


@task
def charge(
    card: Secret[str], amount: int = 1, pin: Secret[Annotated[str, "in figures"]] = ""
) -> str:
    """Take money."""
    return "paid"


@pytest.fixture
def yard(settings, dispatcher, store, catalogued):
    """A client of an API that knows the task `charge`; each of its answers is kept in `yard.texts`."""
    defaults = Defaults(queue=catalogued, priority=4, max_retries=2, timeout_s=60)
    store.declare([describe(charge, defaults)], [catalogued])
    texts: list[str] = []

    def keep(answer: Any) -> Any:
        body = "" if answer.is_streamed else answer.get_data(as_text=True)
        texts.append(f"{answer.headers}{body}")
        return answer

    app = create_app(settings, dispatcher)
    app.after_request(keep)
    client: Any = app.test_client()
    client.texts = texts
    return client


@pytest.fixture
def later(yard):
    """The id of a job of `charge` that waits."""
    answer = yard.post("/v1/jobs", json={**ASKED, "delay_s": 3600})
    assert answer.status_code == 202, answer.json
    return answer.json["id"]


def shown(document: Any) -> tuple[Any, Any]:
    return document["args"], document["kwargs"]


def kept(store: Any, job_id: str) -> tuple[Any, Any]:
    (job,) = store.get([job_id])
    return job.message.args, job.message.kwargs


def test_a_job_is_shown_without_its_secrets(yard, store, worker, later):
    """In every answer and stream that has the job in it."""
    stream = yard.get(f"/v1/jobs/{later}/events", buffered=False)
    streamed = next(stream.response).partition(b"data: ")[2]
    stream.close()
    documents = [
        yard.get(f"/v1/jobs/{later}").json,
        yard.get("/v1/jobs?task=charge").json["items"][0],
        yard.post("/v1/jobs", json={**ASKED, "id": later}).json,
        yard.post(f"/v1/jobs/{later}/run-now").json,
        json.loads(streamed),
        yard.post(f"/v1/jobs/{later}/cancel").json,
        yard.post(f"/v1/jobs/{later}/retry").json,
    ]

    assert [shown(document) for document in documents] == [SHOWN] * 7
    assert not any(CARD in text for text in yard.texts)
    assert kept(store, later) == (ASKED["args"], ASKED["kwargs"])


def test_a_fault_does_not_tell_a_secret(yard, later):
    """Wrong values of secrets are refused by name; others with the value."""
    wrong = {"task": "charge", "args": [[CARD], "five"], "kwargs": {"pin": {CARD: 1}}}

    answer = yard.post("/v1/jobs", json=wrong)
    batch = yard.post("/v1/jobs/batch", json={"jobs": [wrong]})
    changed = yard.patch(f"/v1/jobs/{later}", json={"args": [[CARD]]})
    extra = yard.post("/v1/jobs", json={"task": "charge", "args": [CARD, 1, CARD, CARD]})

    faults = {fault["pointer"]: fault["detail"] for fault in answer.json["errors"]}
    assert set(faults) == {"/args/0", "/args/1", "/kwargs/pin"}
    assert "five" in faults["/args/1"]
    assert [each.status_code for each in (answer, batch, changed, extra)] == [422] * 4
    assert not any(CARD in text for text in yard.texts)


def test_a_secret_stays_where_it_is_sent_back_as_shown(yard, store, later):
    """What else is changed is changed; a new secret is a new one."""
    got = yard.get(f"/v1/jobs/{later}").json
    change = {"args": [got["args"][0], 7], "kwargs": got["kwargs"]}

    assert yard.patch(f"/v1/jobs/{later}", json=change).status_code == 200
    assert kept(store, later) == ([CARD, 7], {"pin": CARD})
    assert yard.patch(f"/v1/jobs/{later}", json={"args": ["new"]}).status_code == 200
    assert kept(store, later) == (["new"], {"pin": CARD})


def test_what_is_shown_is_not_taken_for_a_new_secret(yard, later):
    """A copy of a job's document, sent as a new job, would run with three stars."""
    got = yard.get(f"/v1/jobs/{later}").json

    answer = yard.post("/v1/jobs", json={"task": "charge", "args": got["args"]})

    assert answer.status_code == 422
    assert [(f["pointer"], f["code"]) for f in answer.json["errors"]] == [("/args/0", "hidden")]


def test_a_schedule_is_shown_without_its_secrets(yard, store):
    """What GET gives can be changed and sent back."""
    path = "/v1/schedules/s"
    made = yard.post("/v1/schedules", json={"name": "s", "every_s": 60, **ASKED})
    got = yard.get(path).json
    changed = yard.put(path, json={**got, "every_s": 30})
    job = yard.post(f"{path}/trigger").json

    assert [
        shown(each)
        for each in (made.json, got, changed.json, job, yard.get("/v1/schedules").json["items"][0])
    ] == [SHOWN] * 5
    assert kept(store, job["id"]) == (ASKED["args"], ASKED["kwargs"])
    assert yard.put(path, json={**got, "args": "***"}).status_code == 422
    assert yard.post("/v1/schedules", json={**got, "name": "t"}).status_code == 422
    assert not any(CARD in text for text in yard.texts)


def test_a_replay_keeps_and_hides_secrets(yard, store, worker, catalogued):
    """An edit with what was shown keeps what was; the replay does not show a new one."""
    job_id = yard.post("/v1/jobs", json=ASKED).json["id"]
    worker.run(job_id, "failed")
    (body,) = [job.body for job in store.retry_sources([job_id])]
    store.index_dead_letters([(entry(job_id, catalogued, is_job=True, task="charge"), body)])

    edit = {"ids": [job_id], "args": [HIDDEN, 9], "kwargs": {"pin": CARD * 2}}
    started = yard.post("/v1/dead-letters/replay", json=edit)

    assert shown(started.json["asked"]) == ([HIDDEN, 9], {"pin": HIDDEN})
    ((batch,), _) = store.take_replays(10, 1000)
    assert json.loads(batch.edit) == {"args": [CARD, 9], "kwargs": {"pin": CARD * 2}}
    yard.get(f"/v1/dead-letters/{job_id}")
    yard.get("/v1/dead-letters/replays")
    assert not any(CARD in text for text in yard.texts)


@pytest.mark.parametrize(
    ("preview", "content"),
    [
        (
            json.dumps({**ASKED, "priority": 77}),
            {**ASKED, "args": SHOWN[0], "kwargs": SHOWN[1], "priority": 77},
        ),
        (json.dumps({"task": "charge", "krawgs": CARD}), {"task": "charge", "krawgs": HIDDEN}),
        (json.dumps([{"task": "charge", "args": CARD}]), [{"task": "charge", "args": []}]),
        (
            json.dumps({"actor_name": "charge", "args": [CARD]}),
            {"actor_name": "charge", "args": [HIDDEN]},
        ),
        (json.dumps({"task": "chrage", "args": [CARD]}), {"task": "chrage", "args": [HIDDEN]}),
        (json.dumps({"args": [CARD]}), {"args": [HIDDEN]}),
        (json.dumps([CARD]), [HIDDEN]),
        (json.dumps({"task": "charge", "args": [CARD]})[:-2], None),
        ('{"task": "echo",  "args": ["x", 7777]}', {"task": "echo", "args": ["x", 7777]}),
    ],
)
def test_the_preview_of_a_dead_letter_hides_secrets(yard, store, catalogued, preview, content):
    """What cannot be read is hidden as a whole."""
    store.index_dead_letters([(entry("letter", catalogued, is_job=False, preview=preview), "")])

    told = yard.get("/v1/dead-letters/letter").json["preview"]["content"]
    yard.get("/v1/dead-letters")
    yard.get("/v1/dead-letters/groups")

    assert (told if content is None else json.loads(told)) == (
        HIDDEN if content is None else content
    )
    assert "echo" not in preview or told == preview
    assert not any(CARD in text for text in yard.texts)


def test_the_catalogue_tells_that_a_parameter_is_secret(yard):
    """In its schema, and by name."""
    (found,) = [each for each in yard.get("/v1/tasks").json["items"] if each["name"] == "charge"]

    assert found["signature"]["secret"] == ["card", "pin"]
    assert found["signature"]["schema"]["properties"]["card"]["writeOnly"]


def test_of_a_task_that_nobody_has_told_all_is_hidden(yard, store):
    """Until a worker tells it."""
    job_id = jobs.pending(store, task="charge_anew", args=ASKED["args"], kwargs=ASKED["kwargs"])

    assert shown(yard.get(f"/v1/jobs/{job_id}").json) == ([HIDDEN, HIDDEN], {"pin": HIDDEN})
