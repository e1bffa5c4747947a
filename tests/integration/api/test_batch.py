"""Submitting many jobs at once."""

import pytest
import redis

from taskyard.errors import BrokerUnavailable
from taskyard.rabbitmq.confirms import Failure

pytest_plugins = ["tests.integration.api_fixtures"]


def test_a_batch_is_submitted_in_its_order(api, conforms, channel, catalogued):
    """Each job is there, and those that are ready are published."""
    jobs: list[object] = [{"task": "add", "args": [1, n]} for n in range(50)]
    jobs.append({"task": "echo", "id": "later", "delay_s": 3600})

    answer = api.post("/v1/jobs/batch", json={"jobs": jobs})

    assert answer.status_code == 202, answer.json
    assert conforms(answer.json, "Batch") == []
    items = answer.json["items"]
    assert [item["is_new"] for item in items] == [True] * 51
    assert (items[-1]["id"], items[-1]["state"]) == ("later", "scheduled")
    assert api.get(items[7]["links"]["self"]).json["args"] == [1, 7]
    assert channel.queue_declare(catalogued, passive=True).method.message_count == 50


def test_nothing_is_submitted_if_one_is_wrong(api, channel):
    """Each fault is told with the place of its job."""
    jobs = [{"task": "add", "args": [1]}, {"task": "ad"}, {"task": "add", "args": ["x"]}, 5]

    answer = api.post("/v1/jobs/batch", json={"jobs": jobs})

    assert (answer.status_code, answer.json["code"]) == (422, "invalid")
    assert {fault["pointer"] for fault in answer.json["errors"]} == {
        "/jobs/1/task",
        "/jobs/2/args/0",
        "/jobs/3",
    }
    assert api.get("/v1/stats").json["states"]["pending"] == 0


def test_nothing_runs_if_a_queue_refuses_one(api, full, other_queue, worker):
    """RabbitMQ has taken the others; they are taken back all the same, and can be sent again."""
    jobs = [{"task": "echo", "id": f"good-{n}"} for n in range(10)]
    jobs.append({"task": "echo", "queue": other_queue, "id": "bad"})
    key = {"Idempotency-Key": "k"}
    api.post("/v1/jobs", json={"task": "echo", "queue": other_queue})  # declares it

    with full(other_queue):
        answer = api.post("/v1/jobs/batch", json={"jobs": jobs}, headers=key)

    assert (answer.status_code, answer.json["code"]) == (503, "broker_unavailable"), answer.json
    assert "taken" not in answer.json
    assert [worker.ask(f"good-{n}") for n in range(10)] == ["cancelled"] * 10
    assert api.get("/v1/jobs/good-0").status_code == 404

    answer = api.post("/v1/jobs/batch", json={"jobs": jobs}, headers=key)

    assert answer.status_code == 202, answer.json
    assert [item["is_new"] for item in answer.json["items"]] == [True] * 11
    assert [worker.ask(f"good-{n}") for n in range(10)] == ["run"] * 10


def test_what_had_begun_before_a_batch_failed_is_named(
    api, conforms, dispatcher, monkeypatch, worker
):
    """It cannot be taken back."""

    def slow(messages, **_):
        assert worker.ask("a") == "run"
        return {1: Failure(BrokerUnavailable("refused"), may_arrive=False)}

    jobs = [{"task": "echo", "id": name} for name in ("a", "b", "c")]
    with monkeypatch.context() as patch:
        patch.setattr(dispatcher.publisher, "publish_each", slow)
        answer = api.post("/v1/jobs/batch", json={"jobs": jobs})

    assert (answer.status_code, answer.json["taken"]) == (503, ["a"])
    assert conforms(answer.json, "Problem") == []
    assert [api.get(f"/v1/jobs/{name}").status_code for name in "abc"] == [200, 404, 404]


def test_what_stays_beside_a_damaged_record_is_named(api, conforms, result_backend, key_prefix):
    """As after an error of RabbitMQ: here one that was asked for twice."""
    with redis.Redis.from_url(result_backend) as raw:
        raw.set(f"{key_prefix}j:damaged", "text")
    jobs = [{"task": "echo", "id": name} for name in ("a", "a", "b", "damaged")]

    answer = api.post("/v1/jobs/batch", json={"jobs": jobs})

    assert (answer.status_code, answer.json["code"]) == (500, "store_fault")
    assert answer.json["taken"] == ["a"]
    assert conforms(answer.json, "Problem") == []
    assert [api.get(f"/v1/jobs/{name}").status_code for name in "ab"] == [200, 404]


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/jobs"]),
        ({"jobs": []}, ["/jobs"]),
        ({"jobs": [{"task": "echo"}] * 1001}, ["/jobs"]),
        ({"jobs": {}}, ["/jobs"]),
        ({"jobs": [{"task": "echo"}], "a/b": 1}, ["/a~1b"]),
    ],
)
def test_a_batch_is_a_list_of_some_jobs(api, body, pointers):
    """Not more than a thousand."""
    answer = api.post("/v1/jobs/batch", json=body)

    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json["errors"]] == pointers


def test_each_job_has_the_limit_of_one(api, settings):
    """The batch has its own."""
    large = "x" * settings.payload_max_bytes

    answer = api.post("/v1/jobs/batch", json={"jobs": [{"task": "echo", "args": [large]}]})
    assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (413, "/jobs/0")

    answer = api.post("/v1/jobs/batch", data=b" " * (settings.batch_max_bytes + 1))
    assert (answer.status_code, answer.json["code"]) == (413, "too_large")
    assert "BATCH_MAX_BYTES" in answer.json["detail"]


def test_ids_within_a_batch_are_the_same_job(api):
    """And what is unique is told."""
    jobs = [
        {"task": "echo", "id": "a"},
        {"task": "echo", "id": "a"},
        {"task": "once", "args": [1], "id": "b"},
        {"task": "once", "args": [1]},
    ]

    items = api.post("/v1/jobs/batch", json={"jobs": jobs}).json["items"]

    assert [(item["id"], item["is_new"], item["is_rejected"]) for item in items] == [
        ("a", True, False),
        ("a", False, False),
        ("b", True, False),
        ("b", False, True),
    ]
