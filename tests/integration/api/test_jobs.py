"""Looking at jobs over REST, waiting for them and cancelling them."""

import json
import threading
import time

import pytest
from msgspec.structs import replace
from prometheus_client import REGISTRY

from tests.polling import poll

pytest_plugins = ["tests.integration.api_fixtures"]

HOUR_MS = 3_600_000
ERROR = json.dumps({"type": "ValueError", "message": "no", "traceback": "…", "reason": "error"})


@pytest.mark.parametrize("path", ["/v1/jobs", "/task-status"])
def test_a_completed_job_shows_its_result(api, submit, worker, path):
    """The document has the result and the attempt that gave it."""
    job_id = submit(args=[{"a": None}])
    worker.run(job_id, result='{"a": null}')

    answer = api.get(f"{path}/{job_id}")

    assert answer.status_code == 200
    assert tuple(answer.json[k] for k in ("state", "result", "error")) == (
        "completed",
        {"a": None},
        None,
    )
    assert [(a["number"], a["outcome"]) for a in answer.json["attempts"]] == [(1, "completed")]


def test_job_documents_are_what_the_schema_says(api, submit, store, worker, conforms):
    """In every state the document conforms to the published schema."""
    pending, running, failed, completed = (submit() for _ in range(4))
    scheduled = submit(delay_s=60, expires_s=90, timeout_s=1.5, tags=["a"])
    token = worker.start(running)
    store.progress(running, token, '{"done": 1, "total": 3, "note": "…"}')
    worker.run(failed, "failed", error=ERROR)
    worker.run(completed, result="[1]")

    documents = [
        api.get(f"/v1/jobs/{job_id}").json
        for job_id in (pending, running, failed, completed, scheduled)
    ]

    states = ["pending", "running", "failed", "completed", "scheduled"]
    assert [document["state"] for document in documents] == states
    assert [conforms(document, "Job") for document in documents] == [[]] * 5


@pytest.mark.parametrize(
    "path", ["/v1/jobs/no-such", "/task-status/no-such", "/v1/jobs/no-such?wait_s=9"]
)
def test_an_unknown_job_is_not_found(api, path, conforms):
    """404 says so at once, whatever wait was asked for."""
    answer = api.get(path)

    assert (answer.status_code, answer.json["code"]) == (404, "not_found")
    assert conforms(answer.json, "Problem") == []


@pytest.mark.parametrize("text", ["-1", "61", "abc", "nan", "inf", ""])
def test_a_wait_out_of_bounds_is_refused(api, text):
    """The problem names the parameter and what it accepts."""
    answer = api.get("/v1/jobs/some", query_string={"wait_s": text})

    assert answer.status_code == 422
    (fault,) = answer.json["errors"]
    assert fault["parameter"] == "wait_s"
    assert "0 to 60" in fault["detail"]


def test_a_wait_ends_when_the_job_ends(api, submit, worker):
    """The answer comes with the outcome, long before the time is up."""
    job_id = submit()
    answers = []
    started = time.monotonic()
    thread = threading.Thread(
        target=lambda: answers.append(api.get(f"/v1/jobs/{job_id}?wait_s=50"))
    )
    thread.start()
    poll(lambda: REGISTRY.get_sample_value("taskyard_http_waits") == 1)

    worker.run(job_id, result="7")
    thread.join(30)

    assert (answers[0].json["state"], answers[0].json["result"]) == ("completed", 7)
    assert time.monotonic() - started < 30


def test_a_wait_that_is_over_gives_the_job_as_it_is(api, submit):
    """A wait is bounded: 200 with a job that has not ended."""
    answer = api.get(f"/v1/jobs/{submit()}?wait_s=0.05")

    assert (answer.status_code, answer.json["state"]) == (200, "pending")


def test_waits_never_take_every_thread(client_of, settings, dispatcher, submit, worker):
    """With all places taken, a further wait is answered at once."""
    one_place = replace(settings, api_threads=9)
    client = client_of(one_place, dispatcher)
    job_id = submit()
    first = threading.Thread(target=client.get, args=(f"/v1/jobs/{job_id}?wait_s=50",))
    first.start()
    poll(lambda: REGISTRY.get_sample_value("taskyard_http_waits") == 1)

    started = time.monotonic()
    answer = client.application.test_client().get(f"/v1/jobs/{job_id}?wait_s=50")
    took_s = time.monotonic() - started
    worker.run(job_id)
    first.join(30)

    assert (answer.status_code, answer.json["state"]) == (200, "pending")
    assert took_s < 30


def brought_to(state: str, submit, worker) -> str:
    """Return the id of a job in `state`."""
    job_id = submit(delay_s=60) if state == "scheduled" else submit()
    if state == "running":
        worker.start(job_id)
    elif state == "retrying":
        worker.run(job_id, "retrying", error=ERROR, delay_ms=HOUR_MS)
    elif state in ("completed", "failed"):
        worker.run(job_id, state, **({"error": ERROR} if state == "failed" else {"result": "1"}))
    return str(job_id)


@pytest.mark.parametrize("state", ["pending", "scheduled", "retrying"])
def test_a_job_that_does_not_run_is_cancelled_at_once(api, submit, worker, state):
    """200 with the job, which is cancelled."""
    job_id = brought_to(state, submit, worker)

    answer = api.post(f"/v1/jobs/{job_id}/cancel")

    assert (answer.status_code, answer.json["state"]) == (200, "cancelled")


def test_a_running_job_is_asked_to_stop(api, submit, worker):
    """202: its worker will see to it."""
    job_id = brought_to("running", submit, worker)

    answer = api.post(f"/v1/jobs/{job_id}/cancel")

    assert (
        answer.status_code,
        answer.json["state"],
        answer.json["cancel_requested"],
    ) == (202, "running", True)


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
def test_a_job_that_has_ended_cannot_be_cancelled(api, submit, worker, state, conforms):
    """409 says which state it is in."""
    job_id = brought_to(state, submit, worker)
    if state == "cancelled":
        api.post(f"/v1/jobs/{job_id}/cancel")

    answer = api.post(f"/v1/jobs/{job_id}/cancel")

    assert (
        answer.status_code,
        answer.json["code"],
        answer.json["state"],
    ) == (409, "too_late", state)
    assert conforms(answer.json, "Problem") == []


def test_an_unknown_job_cannot_be_cancelled(api):
    """404, as for looking at it."""
    assert api.post("/v1/jobs/no-such/cancel").status_code == 404
