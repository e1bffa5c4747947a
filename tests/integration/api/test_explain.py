"""Explanations over REST: as the API's own document describes them, whatever the state of the job."""

import pytest
import redis

from taskyard import config
from taskyard.store.jobs import Unique
from tests.contract import jobs

pytest_plugins = ["tests.integration.api_fixtures"]

KINDS = ["completed", "failed", "cancelled", "retrying", "released"]


def explain(api, job_id):
    """Return the explanation of a job."""
    answer = api.get(f"/v1/jobs/{job_id}/explain")
    assert answer.status_code == 200, answer.json
    return answer.json


@pytest.mark.parametrize("kind", KINDS)
def test_an_explanation_is_as_described(api, conforms, submit, worker, kind):
    """While the job is pending, running, and after its attempt."""
    job_id = submit()
    seen = [explain(api, job_id)]
    token = worker.start(job_id)
    seen.append(explain(api, job_id))
    worker.end(job_id, token, kind, delay_ms=60_000)
    seen.append(explain(api, job_id))

    for document in seen:
        assert conforms(document, "Explanation") == []
        assert api.get(f"/v1/jobs/{job_id}").json["links"]["self"] == document["links"]["job"]
    assert [each["state"] for each in seen[:2]] == ["pending", "running"]


def test_a_waiting_job_is_as_described(api, conforms, submit, catalogued):
    """With what would keep it after its time."""
    api.post(f"/v1/queues/{catalogued}/pause", json={"reason": "why not"})
    document = explain(api, submit(delay_s=60))

    assert conforms(document, "Explanation") == []
    codes = [each["code"] for each in document["findings"]]
    assert codes == ["waiting_for_time", "queue_paused", "no_worker"]
    assert (document["blocking"], document["needs_action"]) == (True, True)


def test_a_pause_is_told_with_who_made_it(api, submit, catalogued):
    """As the API knows the caller, when and why."""
    pause = api.post(f"/v1/queues/{catalogued}/pause", json={"reason": "why not"}).json["paused"]

    finding = explain(api, submit())["findings"][0]
    assert (pause["by"], pause["reason"]) == ("anonymous", "why not")
    assert finding["facts"] == {"queue": catalogued, **pause}


def test_links_lead_somewhere(api, submit, worker):
    """Each path is one that the API has."""
    running = submit()
    worker.start(running)
    failed = submit()
    worker.run(failed, "failed")
    rules = api.application.url_map.bind("localhost")

    for job_id in (running, failed, submit(), submit(delay_s=60)):
        document = explain(api, job_id)
        links = [document["links"], *(each["links"] for each in document["findings"])]
        paths = [path for each in links for path in each.values()]
        assert paths
        assert all(rules.allowed_methods(path) for path in paths), paths


def test_no_job_no_explanation(api):
    """404."""
    answer = api.get("/v1/jobs/nothing/explain")
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")


#: What may be found in a record, of a field that an explanation needs.
UNREADABLE = {
    "a message that is no text": ("body", b"\xff\xfe"),
    "a message that is no JSON": ("body", b"no json"),
    "an attempt that is no number": ("attempt", b"some"),
    "a time that is no number": ("held_at", b"some"),
    "stretches that are no text": ("gaps", b"\xff\xfe"),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_of_a_damaged_record_it_is_told_what_is_wrong(
    api, conforms, submit, result_backend, key_prefix, what
):
    """500, for nobody who asks can help it; the text has the job and the reason."""
    job_id = submit()
    with redis.Redis.from_url(result_backend) as raw:
        raw.hset(f"{key_prefix}j:{job_id}", *UNREADABLE[what])

    answer = api.get(f"/v1/jobs/{job_id}/explain")

    assert (answer.status_code, answer.json["code"]) == (500, "store_fault")
    assert repr(job_id) in answer.json["detail"]
    assert conforms(answer.json, "Problem") == []


def test_of_what_is_no_record_it_is_told_what_is_wrong(api, submit, result_backend, key_prefix):
    """The same where the store's own script fails."""
    job_id = submit()
    with redis.Redis.from_url(result_backend) as raw:
        raw.set(f"{key_prefix}j:{job_id}", "text")

    answer = api.get(f"/v1/jobs/{job_id}/explain")

    assert (answer.status_code, answer.json["code"]) == (500, "store_fault")
    assert repr(job_id) in answer.json["detail"]
    assert "WRONGTYPE" in answer.json["detail"]


def test_what_an_explanation_does_not_need_may_be_damaged(
    api, conforms, submit, result_backend, key_prefix
):
    """A result that is no text, and a field that nobody knows."""
    job_id = submit()
    with redis.Redis.from_url(result_backend) as raw:
        raw.hset(f"{key_prefix}j:{job_id}", mapping={"result": b"\xff", b"\xfe": b"\xff"})

    assert conforms(explain(api, job_id), "Explanation") == []


def test_without_the_store_nothing_is_known(client_of, dispatcher, catalogued, settings):
    """503, as of every question."""
    from taskyard.dispatcher import Dispatcher
    from taskyard.store import open_store

    nowhere = config.load(result_backend="redis://127.0.0.1:1/0", broker_url=settings.broker_url)
    api = client_of(nowhere, Dispatcher(open_store(nowhere), dispatcher.publisher))

    answer = api.get("/v1/jobs/any/explain")
    assert (answer.status_code, answer.json["code"]) == (503, "store_unavailable")
    assert answer.headers["Retry-After"]


def test_an_explanation_changes_nothing(api, submit, store):
    """The record is as it was."""
    job_id = submit(delay_s=60)
    before = store.get([job_id])
    explain(api, job_id)
    assert store.get([job_id]) == before


def test_a_replaced_job_is_as_described(api, conforms, store, catalogued):
    """And the one that replaced it."""
    unique = Unique(lock="only", lock_ms=60_000, policy="replace")
    old, new = (jobs.new_job(queue=catalogued, unique=unique) for _ in range(2))
    store.create([old])
    store.create([new])
    store.replace([new.id])

    for job in (old, new):
        assert conforms(explain(api, job.id), "Explanation") == []
    assert new.id == explain(api, old.id)["findings"][0]["facts"]["replaced_by"]
