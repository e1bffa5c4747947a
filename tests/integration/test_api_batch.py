"""Submitting many jobs at once."""

import pytest

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
