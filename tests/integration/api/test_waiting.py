"""Changing a waiting job over REST, and running it now."""

import pytest

from taskyard.job import rfc3339
from tests.contract import jobs

pytest_plugins = ["tests.integration.api_fixtures"]


@pytest.fixture
def later(api):
    """The id of a job of `add` that is due in an hour."""
    body = {"task": "add", "args": [1], "kwargs": {"b": 2}, "delay_s": 3600}
    return api.post("/v1/jobs", json=body).json["id"]


def test_time_priority_and_arguments_are_changed(api, later, conforms):
    """The answer is the job as it is now."""
    change = {"run_at": "2100-01-01T00:00:00Z", "priority": 8, "args": [3]}

    answer = api.patch(f"/v1/jobs/{later}", json=change)

    assert answer.status_code == 200
    shown = answer.json
    assert conforms(shown, "Job") == []
    assert (shown["run_at"], shown["priority"]) == ("2100-01-01T00:00:00.000Z", 8)
    assert (shown["args"], shown["kwargs"], shown["state"]) == ([3], {"b": 2}, "scheduled")
    assert api.get(f"/v1/jobs/{later}").json == shown


@pytest.mark.parametrize("change", [{"run_at": "2020-01-01T00:00:00Z"}, {"delay_s": 0}, None])
def test_a_job_is_due_at_once(api, later, store, change):
    """With a time that has passed, without delay, or by run-now."""
    if change is None:
        answer = api.post(f"/v1/jobs/{later}/run-now")
    else:
        answer = api.patch(f"/v1/jobs/{later}", json=change)

    assert answer.status_code == 200
    ((ready,), _) = store.take_due(10)
    assert ready.id == later
    assert rfc3339(ready.due_at_ms) == answer.json["run_at"]


def test_everything_that_is_wrong_is_named(api, later):
    """Arguments are checked with those that stay."""
    change = {"priority": 10, "run_at": "noon", "delay_s": -1, "queue": "other"}
    answer = api.patch(f"/v1/jobs/{later}", json=change)
    pointers = {fault["pointer"] for fault in answer.json["errors"]}
    assert (answer.status_code, pointers) == (422, {"/priority", "/run_at", "/delay_s", "/queue"})

    answer = api.patch(f"/v1/jobs/{later}", json={"args": ["x", 2]})
    pointers = {fault["pointer"] for fault in answer.json["errors"]}
    assert (answer.status_code, pointers) == (422, {"/args/0", "/kwargs/b"})

    assert [f["pointer"] for f in api.patch(f"/v1/jobs/{later}", json={}).json["errors"]] == [""]
    assert api.get(f"/v1/jobs/{later}").json["args"][0] == 1


def test_arguments_of_a_task_that_nobody_knows_are_not_changed(api, store, catalogued):
    """They cannot be checked; its time can be changed."""
    store.create([jobs.new_job("a", task="gone", queue=catalogued, delay_ms=jobs.HOUR_MS)])

    answer = api.patch("/v1/jobs/a", json={"args": [1]})
    assert [fault["code"] for fault in answer.json["errors"]] == ["unknown_task"]
    assert api.patch("/v1/jobs/a", json={"priority": 1}).status_code == 200


def test_a_message_that_becomes_too_large_is_refused(api, submit, settings):
    """As it would be when it is submitted."""
    job_id = submit(delay_s=60, kwargs={"value": "x"})
    value = "x" * (settings.payload_max_bytes - 60)

    answer = api.patch(f"/v1/jobs/{job_id}", json={"kwargs": {"value": value}})

    assert answer.status_code == 413
    assert api.get(f"/v1/jobs/{job_id}").json["kwargs"] == {"value": "x"}


@pytest.mark.parametrize("state", ["pending", "running", "completed"])
def test_a_job_that_does_not_wait_is_not_changed(api, submit, worker, state):
    """409 with its state."""
    job_id = submit()
    if state != "pending":
        token = worker.start(job_id)
    if state == "completed":
        worker.end(job_id, token, "completed")

    for answer in (
        api.patch(f"/v1/jobs/{job_id}", json={"priority": 1}),
        api.post(f"/v1/jobs/{job_id}/run-now"),
    ):
        assert (
            answer.status_code,
            answer.json["code"],
            answer.json["state"],
        ) == (409, "too_late", state)


def test_an_unknown_job_is_told(api):
    """404."""
    assert api.patch("/v1/jobs/nobody", json={"priority": 1}).status_code == 404
    assert api.post("/v1/jobs/nobody/run-now").status_code == 404
