"""Submitting jobs over REST: what is promised, and how every fault is told."""

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import hypothesis
import pytest
from hypothesis import strategies as st
from msgspec.structs import replace

from taskyard.dispatcher import Dispatcher
from taskyard.message import decode
from taskyard.rabbitmq.publisher import Publisher
from taskyard.request import JobRequest
from taskyard.store import open_store

pytest_plugins = ["tests.integration.api_fixtures"]

PATHS = ("/v1/jobs", "/add-task")


def faults(answer) -> set[tuple[str, str]]:
    """Return where and what the problems of an answer are."""
    return {(fault["pointer"], fault["code"]) for fault in answer.json["errors"]}


@pytest.fixture
def closed_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.mark.parametrize("path", PATHS)
def test_a_submitted_job_is_recorded_and_its_message_waits(api, path, channel, catalogued):
    """202 says where the job is; its message is in the queue of its task."""
    answer = api.post(path, json={"task": "add", "args": [1, 2], "tags": ["red"]})

    assert answer.status_code == 202
    job = answer.json
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}" == job["links"]["self"]
    assert tuple(job[key] for key in ("task", "args", "tags", "state")) == (
        "add",
        [1, 2],
        ["red"],
        "pending",
    )
    assert tuple(job[key] for key in ("origin", "queue", "priority", "max_retries")) == (
        "api",
        catalogued,
        4,
        2,
    )
    assert api.get(answer.headers["Location"]).json == job
    _, _, body = channel.basic_get(catalogued, auto_ack=True)
    assert job["id"] == decode(body).message_id


def test_a_job_with_a_delay_is_scheduled_and_not_published(api, channel, catalogued):
    """What waits is kept by the store: no message is sent."""
    first = api.post("/v1/jobs", json={"task": "add", "args": [1]})
    later = api.post("/v1/jobs", json={"task": "add", "args": [1], "delay_s": 3600})

    assert (later.status_code, later.json["state"]) == (202, "scheduled")
    assert later.json["run_at"] is not None
    waiting = [channel.basic_get(catalogued, auto_ack=True)[2] for _ in range(2)]
    assert [body and decode(body).message_id for body in waiting] == [first.json["id"], None]


def test_the_same_id_again_is_the_same_job(api):
    """A repeated submission answers 200 with the job that is there, whatever else it says."""
    first = api.post("/v1/jobs", json={"task": "add", "args": [1], "id": "order-7"})
    again = api.post("/v1/jobs", json={"task": "add", "args": [2], "id": "order-7"})

    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json == again.json
    assert again.headers["Location"] == "/v1/jobs/order-7"


def test_the_trace_context_travels_with_the_job(api, store):
    """A valid traceparent is kept in the message, another is left out."""
    good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    kept, dropped = (
        api.post("/v1/jobs", json={"task": "echo"}, headers={"traceparent": text}).json["id"]
        for text in (good, "00-nonsense")
    )

    first, second = store.get([kept, dropped])
    assert (first.message.options.traceparent, second.message.options.traceparent) == (good, None)


def test_every_fault_is_named_at_once(api):
    """A wrong field, an unknown queue and wrong arguments are all in one answer."""
    answer = api.post(
        "/v1/jobs",
        json={"task": "add", "args": ["x"], "queue": "nowhere", "priority": 10, "colour": "red"},
    )

    assert answer.status_code == 422
    assert answer.content_type == "application/problem+json"
    assert faults(answer) == {
        ("/priority", "less_than_equal"),
        ("/colour", "extra_forbidden"),
        ("/queue", "unknown_queue"),
        ("/args/0", "type"),
    }
    assert {each["detail"] for each in answer.json["errors"]} >= {
        "must be a whole number from 0 to 9",
        '"x" is not a whole number',
    }
    assert "/priority" in answer.json["detail"]
    assert (answer.json["status"], answer.json["code"]) == (422, "invalid")


def test_an_unknown_task_is_told_with_its_neighbours(api):
    """A slip of the pen is answered with the names that are near."""
    answer = api.post("/v1/jobs", json={"task": "ad"})

    assert faults(answer) == {("/task", "unknown_task")}
    assert "'add'" in answer.json["errors"][0]["detail"]


def test_a_task_that_no_worker_has_told_may_be_new(api):
    """Where no name is near: it was added, and the worker has not been restarted since."""
    answer = api.post("/v1/jobs", json={"task": "brand.new"})

    assert answer.json["errors"][0]["detail"].endswith("restart the worker after adding a task")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, {("/kwargs/a", "missing")}),
        ({"args": [1, 2, 3]}, {("/args", "too_many")}),
        ({"args": [1.5]}, {("/args/0", "type")}),
        ({"args": [1], "kwargs": {"a": 2}}, {("/kwargs/a", "given_twice")}),
        ({"args": [1], "kwargs": {"c": 2}}, {("/kwargs/c", "unknown_argument")}),
    ],
)
def test_arguments_that_do_not_fit_are_refused(api, arguments, expected):
    """What the task could not be called with never becomes a job."""
    answer = api.post("/v1/jobs", json={"task": "add", **arguments})

    assert (answer.status_code, faults(answer)) == (422, expected)


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"", "application/json", 400, "bad_request"),
        (b"", None, 400, "bad_request"),
        (b"{", "application/json", 400, "bad_request"),
        (b'{"task": "echo"} x', "application/json", 400, "bad_request"),
        (b'{"task": "echo", "args": [NaN]}', "application/json", 422, "invalid"),
        (b'{"task": "echo", "args": [1e999]}', "application/json", 422, "invalid"),
        (b'{"task": "\xff"}', "application/json", 400, "bad_request"),
        (b'{"task": "echo"}', None, 415, "unsupported_media_type"),
        (b'{"task": "echo"}', "text/plain", 415, "unsupported_media_type"),
        (b'{"task": "echo"}', "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b"[]", "application/json", 422, "invalid"),
        (b'"echo"', "application/json", 422, "invalid"),
        (b"null", "application/json", 422, "invalid"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(api, body, content_type, status, code):
    """Each way to be no JSON object has its status."""
    answer = api.post("/v1/jobs", data=body, content_type=content_type)

    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert answer.content_type == "application/problem+json"


def test_a_content_type_with_a_character_set_is_accepted(api):
    """`application/json; charset=utf-8` is JSON."""
    answer = api.post(
        "/v1/jobs", data=b'{"task": "echo"}', content_type="application/json; charset=utf-8"
    )

    assert answer.status_code == 202


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = st.sampled_from([*JobRequest.model_fields, "colour"])


@hypothesis.settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(fields=st.dictionaries(FIELDS, JSON, max_size=4))
def test_no_body_makes_an_internal_error(api, fields):
    """Whatever a field holds, the answer is a job or what is wrong with it."""
    answer = api.post("/v1/jobs", json={"task": "echo", **fields})

    assert answer.status_code in (200, 202, 422), (fields, answer.json)


@pytest.mark.parametrize("levels", [65, 100_000])
def test_deep_nesting_is_refused(api, levels):
    """No job is so deep that another program could stumble over it."""
    value = b"[" * levels + b"]" * levels

    answer = api.post(
        "/v1/jobs",
        data=b'{"task": "echo", "args": ' + value + b"}",
        content_type="application/json",
    )

    assert (answer.status_code, faults(answer)) == (422, {("", "too_deep")})


def test_many_brackets_are_not_deep(api):
    """A long flat list passes."""
    answer = api.post("/v1/jobs", json={"task": "echo", "args": [[[], []] * 100]})

    assert answer.status_code == 202


def test_a_large_body_is_refused_unread(api, settings):
    """Above PAYLOAD_MAX_BYTES the answer is 413."""
    answer = api.post("/v1/jobs", json={"task": "echo", "args": ["x" * settings.payload_max_bytes]})

    assert (answer.status_code, answer.json["code"]) == (413, "too_large")
    assert "PAYLOAD_MAX_BYTES" in answer.json["detail"]


def test_a_job_whose_message_is_too_large_is_refused(api, settings):
    """The limit is that of the message: a body just below it makes one that is above."""
    frame = len(json.dumps({"task": "echo", "args": [""]}))
    text = "x" * (settings.payload_max_bytes - frame)

    answer = api.post("/v1/jobs", json={"task": "echo", "args": [text]})

    assert (answer.status_code, faults(answer)) == (413, {("", "too_large")})


@pytest.mark.parametrize("value", [2**63, -(2**64), 10**40])
def test_integers_of_any_size_come_through(api, value):
    """What JSON can say is kept as it was said."""
    answer = api.post("/v1/jobs", json={"task": "echo", "args": [value]})

    assert (answer.status_code, answer.json["args"]) == (202, [value])


def test_without_a_broker_the_answer_is_503_in_time(
    client_of, settings, store, closed_port, catalogued
):
    """The submission fails within its deadline, says when to try again, and leaves no job."""
    publisher = Publisher(f"amqp://127.0.0.1:{closed_port}/")
    dispatcher = Dispatcher(store, publisher, publish_deadline_s=0.3)
    client = client_of(settings, dispatcher)

    started = time.monotonic()
    answer = client.post("/v1/jobs", json={"task": "echo", "id": "lost"})
    took_s = time.monotonic() - started
    publisher.close()

    assert (answer.status_code, answer.json["code"]) == (503, "broker_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert took_s < 15
    assert client.get("/v1/jobs/lost").status_code == 404


def test_without_a_store_the_answer_is_503(client_of, settings, publisher, closed_port):
    """Nothing can be promised without a record."""
    away = replace(settings, result_backend=f"redis://127.0.0.1:{closed_port}/0")
    client = client_of(away, Dispatcher(open_store(away), publisher))

    answers = [
        client.post("/v1/jobs", json={"task": "echo"}),
        client.get("/v1/jobs/x"),
        client.get("/v1/jobs/x?wait_s=1"),
        client.post("/v1/jobs/x/cancel"),
        client.get("/v1/tasks"),
        client.get("/v1/queues"),
        client.get("/v1/workers"),
    ]

    assert [(a.status_code, a.json["code"]) for a in answers] == [(503, "store_unavailable")] * 7
    assert all("Retry-After" in answer.headers for answer in answers)


def test_a_store_that_hangs_costs_no_caller_more_than_two_deadlines(client_of, settings, publisher):
    """Requests wait for it together, not one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        hanging = replace(settings, result_backend=url, store_timeout_s=0.5)
        client = client_of(hanging, Dispatcher(open_store(hanging), publisher))
        started = time.monotonic()
        with ThreadPoolExecutor(40) as pool:
            answers = list(
                pool.map(lambda _: client.post("/v1/jobs", json={"task": "echo"}), range(40))
            )
        took_s = time.monotonic() - started

    assert {answer.status_code for answer in answers} == {503}
    assert took_s < 15  # one after the other they would take 20


def test_a_queue_with_other_arguments_is_told_as_ours_to_mend(api, channel, catalogued):
    """The caller cannot help it: 500, with the text that says what to do."""
    channel.queue_declare(catalogued, durable=True)  # without priorities

    answer = api.post("/v1/jobs", json={"task": "echo"})

    assert (answer.status_code, answer.json["code"]) == (500, "queue_mismatch")
    assert catalogued in answer.json["detail"]


def test_a_job_like_a_living_one_is_refused(api, conforms):
    """If its task says so; the answer names the one in the way."""
    first = api.post("/v1/jobs", json={"task": "once", "args": [1], "delay_s": 60})

    answer = api.post("/v1/jobs", json={"task": "once", "kwargs": {"value": 1}})
    assert (answer.status_code, answer.json["code"]) == (409, "not_unique")
    assert first.json["id"] == answer.json["job_id"]
    assert conforms(answer.json, "Problem") == []
    assert api.post("/v1/jobs", json={"task": "once", "args": [2]}).status_code == 202
