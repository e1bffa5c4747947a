"""Pausing tasks and queues, and limiting tasks, over REST."""

import pytest

pytest_plugins = ["tests.integration.api_fixtures"]


@pytest.mark.parametrize("kind", ["tasks", "queues"])
def test_a_pause_is_shown_with_its_reason(api, conforms, catalogued, kind):
    """In its own answer and in the list, until it is resumed; a second pause changes nothing."""
    name = {"tasks": "add", "queues": catalogued}[kind]

    answer = api.post(f"/v1/{kind}/{name}/pause", json={"reason": "the mail server is away"})
    assert 200 == answer.status_code
    assert [] == conforms(answer.json, "Paused")
    assert "the mail server is away" == answer.json["paused"]["reason"]
    assert answer.json == api.post(f"/v1/{kind}/{name}/pause").json
    (listed,) = [each for each in api.get(f"/v1/{kind}").json["items"] if name in each.values()]
    assert answer.json["paused"] == listed["paused"]

    assert {"name": name, "paused": None} == api.post(f"/v1/{kind}/{name}/resume").json
    (listed,) = [each for each in api.get(f"/v1/{kind}").json["items"] if name in each.values()]
    assert listed["paused"] is None


@pytest.mark.parametrize(
    "path", ["tasks/nothing/pause", "queues/nothing/pause", "tasks/nothing/resume"]
)
def test_what_is_not_there_is_not_paused(api, path):
    """A misspelt name would pause nothing, and nobody would notice."""
    answer = api.post(f"/v1/{path}")

    assert (404, "not_found") == (answer.status_code, answer.json["code"])
    assert "'nothing'" in answer.json["detail"]


def test_limits_are_set_for_all_workers_and_taken_back(api, conforms):
    """What holds is in the answer and in the list of tasks."""
    answer = api.put("/v1/tasks/add/limits", json={"concurrency": 5, "rate": "100/m"})

    assert 200 == answer.status_code
    assert [] == conforms(answer.json, "Limits")
    assert {"task": "add", "concurrency": 5, "rate": "100/m"} == answer.json
    assert answer.json == api.get("/v1/tasks/add/limits").json
    (listed,) = [each for each in api.get("/v1/tasks").json["items"] if "add" == each["name"]]
    assert (5, "100/m") == (listed["concurrency"], listed["rate"])

    lifted = {"task": "add", "concurrency": None, "rate": None}
    assert lifted == api.delete("/v1/tasks/add/limits").json


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"concurrency": 0, "rate": "often"}, ["/concurrency", "/rate"]),
        ({}, ["/concurrency", "/rate"]),
        ({"concurrency": "5", "rate": None}, ["/concurrency"]),
        ({"concurrency": 5, "rate": None, "speed": 1}, ["/speed"]),
    ],
)
def test_strange_limits_are_refused(api, body, pointers):
    """Every field that is wrong is named."""
    answer = api.put("/v1/tasks/add/limits", json=body)

    assert 422 == answer.status_code
    assert pointers == [fault["pointer"] for fault in answer.json["errors"]]


def test_limits_of_no_task_are_refused(api):
    """They would limit nothing."""
    limits = {"concurrency": 1, "rate": None}
    assert 404 == api.put("/v1/tasks/nothing/limits", json=limits).status_code
