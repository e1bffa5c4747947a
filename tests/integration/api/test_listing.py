"""Listing, counting and cancelling many jobs over REST."""

import base64
from typing import Any

import pytest
import redis
from cryptography.fernet import Fernet

from tests.contract import jobs

pytest_plugins = ["tests.integration.api_fixtures"]


@pytest.fixture
def listed(api):
    """A function that lists jobs with a query; gives the ids."""

    def ids(query: str = "") -> list[str]:
        answer = api.get(f"/v1/jobs?{query}")
        assert answer.status_code == 200, answer.json
        return [job["id"] for job in answer.json["items"]]

    return ids


@pytest.fixture
def cancel(api):
    """A function that cancels by a filter; gives the answer's document."""

    def post(**body):
        answer = api.post("/v1/jobs/cancel", json=body)
        assert answer.status_code == 200, answer.json
        return answer.json

    return post


def test_jobs_are_listed_as_documents_newest_first(api, submit, conforms):
    """The same document as that of one job."""
    first, second = submit(), submit(delay_s=60)

    answer = api.get("/v1/jobs")

    assert {job["id"] for job in answer.json["items"]} == {second, first}
    shown = answer.json["items"]
    assert sorted(shown, key=lambda job: job["created_at"], reverse=True) == shown
    assert conforms(answer.json, "JobPage") == []
    assert answer.json["cursor"] is None
    assert "Link" not in answer.headers
    assert api.get(f"/v1/jobs/{first}").json in shown


def test_pages_are_linked(api, submit):
    """The link has the filters of the first request."""
    ids = {submit(tags=["a"]) for _ in range(5)}
    submit()
    seen, path = [], "/v1/jobs?tag=a&limit=2&state=pending&state=running"

    while path:
        answer = api.get(path)
        seen += [job["id"] for job in answer.json["items"]]
        link = answer.headers.get("Link", "")
        path = link.partition("<")[2].partition(">")[0]
        assert bool(path) == (answer.json["cursor"] is not None) == link.endswith('rel="next"')

    assert (len(seen), set(seen)) == (5, ids)


def test_filters_of_a_query(submit, listed, worker, catalogued):
    """Each by itself."""
    done = submit()
    worker.run(done)
    broken = submit()
    error = '{"type":"LookupError","message":"it was empty","traceback":"","reason":"error"}'
    worker.run(broken, "failed", error=error)
    tagged = submit(tags=["a"], delay_s=60)

    assert listed("state=completed") == [done]
    assert set(listed("state=completed,failed")) == {done, broken}
    assert set(listed("state=completed&state=failed")) == {done, broken}
    assert listed("error=lookup") == [broken]
    assert [tagged] == listed("tag=a") == listed("order=run_at")
    assert set(listed("origin=api&task=echo")) == {done, broken, tagged}
    assert len(listed(f"queue={catalogued}")) == 3
    assert listed("created_before=2020-01-01T00:00:00Z") == []
    assert len(listed("created_after=2020-01-01T00:00:00%2B02:00")) == 3


def test_every_bad_parameter_is_named(api, conforms):
    """All in one answer."""
    query = "state=late&limit=201&created_after=noon&order=up&task=no%20name"

    answer = api.get(f"/v1/jobs?{query}")

    assert (answer.status_code, answer.json["code"]) == (422, "invalid")
    named = {fault["parameter"] for fault in answer.json["errors"]}
    assert named == {"state", "limit", "created_after", "order", "task"}
    assert conforms(answer.json, "Problem") == []


@pytest.mark.parametrize("query", ["cursor=x", "limit=0", "limit=1.5", "limit=", "state=", "tag="])
def test_a_bad_value_is_refused(api, query):
    """And named."""
    answer = api.get(f"/v1/jobs?{query}")

    assert answer.status_code == 422
    assert [f["parameter"] for f in answer.json["errors"]] == [query.partition("=")[0]]


def test_jobs_are_counted(api, submit, conforms):
    """By the same filters; there are no pages."""
    for _ in range(3):
        submit(tags=["a"])
    submit(delay_s=60)

    answer = api.get("/v1/jobs/count?state=pending")
    assert answer.json == {"count": 3, "is_complete": True}
    assert conforms(answer.json, "JobCount") == []
    assert api.get("/v1/jobs/count").json["count"] == 4
    assert api.get("/v1/jobs/count?tag=a").json == {"count": 3, "is_complete": True}
    assert api.get("/v1/jobs/count?limit=1").status_code == 422


def test_jobs_are_cancelled_by_a_filter(submit, listed, cancel, worker, conforms):
    """Those that wait at once, those that run by asking; those that ended stay."""
    done, busy, ready, waiting, other = (
        submit(tags=["a"]),
        submit(tags=["a"]),
        submit(tags=["a"]),
        submit(tags=["a"], delay_s=60),
        submit(),
    )
    worker.run(done)
    worker.start(busy)

    dry = cancel(filter={"tag": "a"}, dry_run=True)
    assert (dry["matching"], dry["cancelled"], dry["requested"]) == (3, 0, 0)
    assert listed("state=cancelled") == []

    answer = cancel(filter={"tag": "a"})
    expected = {"cancelled": 2, "requested": 1, "too_late": 0, "is_complete": True}
    assert {name: answer[name] for name in expected} == expected
    assert conforms(answer, "Cancellation") == []
    assert set(listed("state=cancelled")) == {ready, waiting}
    assert listed("state=pending") == [other]
    assert listed("state=completed") == [done]


def test_a_cancellation_is_bounded_and_goes_on(submit, listed, cancel):
    """Until it is complete."""
    for _ in range(5):
        submit()
    steps: list[dict[str, Any]] = []
    cursor = None

    while not steps or not steps[-1]["is_complete"]:
        steps.append(cancel(filter={"state": ["pending"]}, limit=2, cursor=cursor))
        cursor = steps[-1]["cursor"]

    assert [step["cancelled"] for step in steps] == [2, 2, 1]
    assert listed("state=pending") == []


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/filter"),
        ({"filter": {}}, "/filter"),
        ({"filter": {"state": []}}, "/filter"),
        ({"filter": {"state": ["late"]}}, "/filter/state/0"),
        ({"filter": {"colour": "red"}}, "/filter/colour"),
        ({"filter": {"tag": "a"}, "limit": 0}, "/limit"),
        ({"filter": {"tag": "a"}, "dry_run": "no"}, "/dry_run"),
        ({"filter": {"tag": "a"}, "cursor": "x"}, "/cursor"),
    ],
)
def test_a_cancellation_without_a_good_filter_is_refused(api, submit, listed, body, pointer):
    """Nothing is cancelled."""
    submit()

    answer = api.post("/v1/jobs/cancel", json=body)

    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json["errors"]] == [pointer]
    assert listed("state=cancelled") == []


def test_only_jobs_that_have_ended_leave_nothing_to_cancel(submit, cancel, worker):
    """A filter by such a state is no error."""
    worker.run(submit())

    answer = cancel(filter={"state": ["completed"]})
    assert (answer["cancelled"], answer["is_complete"]) == (0, True)


def test_a_job_of_an_unusual_id_is_read(api, store, catalogued):
    """One that is called like a route is there under the other path."""
    store.create([jobs.new_job("count", queue=catalogued)])

    assert api.get("/task-status/count").json["id"] == "count"


def test_a_job_that_cannot_be_read_is_shown_as_that(
    api, submit, conforms, result_backend, key_prefix
):
    """By itself, and among the others of a page; without its arguments."""
    good, damaged = submit(args=[1]), submit(args=[2])
    with redis.Redis.from_url(result_backend) as raw:
        raw.hset(f"{key_prefix}j:{damaged}", "body", b"\xff")

    page = api.get("/v1/jobs").json
    shown = api.get(f"/v1/jobs/{damaged}").json

    assert conforms(page, "JobPage") == []
    assert {job["id"]: job["args"] for job in page["items"]} == {good: [1], damaged: None}
    assert shown in page["items"]


def test_a_cursor_tells_nothing_of_jobs_out_of_reach(api, caller, submit):
    """It stands at the last job that was looked at, whosever that is."""
    submit(id="mine", task="add", args=[1])
    submit(id="foreign-job")
    mine = caller("jobs:read", tasks=("add",))
    cursor = mine.get("/v1/jobs?limit=1").json["cursor"]
    both = caller("jobs:read").get("/v1/jobs?limit=1").json["cursor"]

    for each in (cursor, both):
        text = each or ""
        assert b"foreign" not in base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_a_cursor_is_of_one_list_and_cannot_be_made(api, submit):
    """Nor changed, nor taken from another installation."""
    for n in range(3):
        submit(id=f"job-{n}")
    cursor = api.get("/v1/jobs?limit=1").json["cursor"]
    forged = [
        cursor[:-6] + ("A" if cursor[-6] != "A" else "B") + cursor[-5:],
        Fernet(Fernet.generate_key()).encrypt(b'["jobs by created", 1, "job-0"]').decode(),
        base64.urlsafe_b64encode(b'["created", 1, "job-0"]').decode(),
    ]

    assert len(api.get(f"/v1/jobs?cursor={cursor}").json["items"]) == 2
    for path in (
        f"/v1/jobs?order=run_at&cursor={cursor}",
        f"/v1/dead-letters?cursor={cursor}",
        f"/v1/audit-log?cursor={cursor}",
        *(f"/v1/jobs?cursor={each}" for each in forged),
    ):
        answer = api.get(path)
        assert (answer.status_code, answer.json["errors"][0]["parameter"]) == (422, "cursor"), path
    answer = api.post("/v1/jobs/cancel", json={"filter": {"task": "echo"}, "cursor": cursor})
    assert answer.json["errors"][0]["pointer"] == "/cursor"
