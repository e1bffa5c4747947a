"""Pausing tasks and queues, and limiting tasks, over REST."""

import pytest

pytest_plugins = ["tests.integration.api_fixtures"]


@pytest.mark.parametrize("kind", ["tasks", "queues"])
def test_a_pause_is_shown_with_its_reason(api, conforms, catalogued, kind):
    """In its own answer and in the list, until it is resumed; a second pause changes nothing."""
    name = {"tasks": "add", "queues": catalogued}[kind]

    answer = api.post(f"/v1/{kind}/{name}/pause", json={"reason": "the mail server is away"})
    assert answer.status_code == 200
    assert conforms(answer.json, "Paused") == []
    assert answer.json["paused"]["reason"] == "the mail server is away"
    assert answer.json == api.post(f"/v1/{kind}/{name}/pause").json
    (listed,) = [each for each in api.get(f"/v1/{kind}").json["items"] if name in each.values()]
    assert answer.json["paused"] == listed["paused"]

    assert api.post(f"/v1/{kind}/{name}/resume").json == {"name": name, "paused": None}
    (listed,) = [each for each in api.get(f"/v1/{kind}").json["items"] if name in each.values()]
    assert listed["paused"] is None


@pytest.mark.parametrize(
    "path", ["tasks/nothing/pause", "queues/nothing/pause", "tasks/nothing/resume"]
)
def test_what_is_not_there_is_not_paused(api, path):
    """A misspelt name would pause nothing, and nobody would notice."""
    answer = api.post(f"/v1/{path}")

    assert (answer.status_code, answer.json["code"]) == (404, "not_found")
    assert "'nothing'" in answer.json["detail"]


def test_limits_are_set_for_all_workers_and_taken_back(api, conforms):
    """What holds is in the answer and in the list of tasks."""
    answer = api.put("/v1/tasks/add/limits", json={"concurrency": 5, "rate": "100/m"})

    assert answer.status_code == 200
    assert conforms(answer.json, "Limits") == []
    none = {"concurrency": None, "rate": None}
    asked = {"concurrency": 5, "rate": "100/m"}
    assert answer.json == {"task": "add", **asked, "is_set": True, "declared": none}
    assert answer.json == api.get("/v1/tasks/add/limits").json
    (listed,) = [each for each in api.get("/v1/tasks").json["items"] if each["name"] == "add"]
    assert (listed["concurrency"], listed["rate"]) == (5, "100/m")

    lifted = {"task": "add", **none, "is_set": False, "declared": none}
    assert api.delete("/v1/tasks/add/limits").json == lifted


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

    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json["errors"]] == pointers


def test_limits_of_no_task_are_refused(api):
    """They would limit nothing."""
    limits = {"concurrency": 1, "rate": None}
    assert api.put("/v1/tasks/nothing/limits", json=limits).status_code == 404
