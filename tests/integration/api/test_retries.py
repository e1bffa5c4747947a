"""Retrying many jobs over REST: which are taken, in bounded steps, with nothing lost on the way."""

import pytest

from services.scheduler.chores.relay import Relay
from taskyard.dispatcher import Dispatcher
from taskyard.message import decode
from taskyard.operations.bulk import retry_found
from taskyard.rabbitmq.publisher import Publisher
from taskyard.store.finding import Filter
from tests.contract.jobs import HOUR_MS, claim
from tests.polling import poll

pytest_plugins = ["tests.integration.api_fixtures"]

ERROR = '{"type":"LookupError","message":"it was empty","traceback":"","reason":"error"}'


@pytest.fixture
def retry(api):
    """A function that retries by a filter; gives the answer's document."""

    def post(**body):
        answer = api.post("/v1/jobs/retry", json=body)
        assert answer.status_code == 200, answer.json
        return answer.json

    return post


@pytest.fixture
def ended(submit, worker, store, catalogued):
    """Ids of one job for each state that a job can be in without running, by the state."""
    found = {"completed": submit(tags=["a"]), "failed": submit(tags=["a"])}
    worker.run(found["completed"])
    worker.run(found["failed"], "failed", error=ERROR)
    found["cancelled"] = submit(tags=["a"], delay_s=3600)
    store.cancel([found["cancelled"]], HOUR_MS)
    found["expired"] = submit(tags=["a"], expires_s=0.001)
    created_at = store.get([found["expired"]])[0].created_at
    poll(lambda: store.now_ms() > created_at)
    assert claim(store, found["expired"], queue=catalogued, expires_ms=1).kind == "expired"
    found["pending"] = submit(tags=["a"])
    return found


@pytest.fixture
def state_of(store):
    """A function that gives jobs' states."""
    return lambda *ids: [job.state.value for job in store.get(ids)]


def test_what_can_be_retried_is(retry, ended, state_of, conforms, api):
    """Failed, cancelled and expired jobs; a dry run only counts them."""
    taken = [ended[state] for state in ("failed", "cancelled", "expired")]
    before = _retried(api)

    dry = retry(filter={"tag": "a"}, dry_run=True)
    assert (dry["dry_run"], dry["matching"], dry["retried"]) == (True, 3, 0)
    assert state_of(*taken) == ["failed", "cancelled", "expired"]

    answer = retry(filter={"tag": "a"})
    expected = {"dry_run": False, "retried": 3, "skipped": 0, "is_complete": True, "cursor": None}
    assert answer == expected
    assert conforms(answer, "BulkRetry") == []
    assert state_of(*taken) == ["pending"] * 3
    assert state_of(ended["completed"], ended["pending"]) == ["completed", "pending"]
    assert _retried(api) - before == 3


def test_a_filter_holds(retry, ended, state_of):
    """By state and by error."""
    assert retry(filter={"error": "was EMPTY"})["retried"] == 1
    assert retry(filter={"state": ["expired", "running"]})["retried"] == 1
    assert retry(filter={"state": ["completed"]})["retried"] == 0
    assert state_of(ended["failed"], ended["cancelled"], ended["expired"]) == [
        "pending",
        "cancelled",
        "pending",
    ]


def test_a_retry_is_bounded_and_goes_on(retry, submit, store):
    """Until it is complete."""
    ids = [submit(delay_s=3600) for _ in range(5)]
    store.cancel(ids, HOUR_MS)
    counts: list[int] = []
    cursor = None

    while not counts or cursor is not None:
        answer = retry(filter={"state": ["cancelled"]}, limit=2, cursor=cursor)
        counts.append(answer["retried"])
        cursor = answer["cursor"]
        assert answer["is_complete"] == (cursor is None)

    assert counts == [2, 2, 1]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/filter"),
        ({"filter": {}}, "/filter"),
        ({"filter": {"colour": "red"}}, "/filter/colour"),
        ({"filter": {"tag": "a"}, "limit": 10_001}, "/limit"),
        ({"filter": {"tag": "a"}, "cursor": "x"}, "/cursor"),
    ],
)
def test_a_bad_request_is_refused(api, ended, state_of, body, pointer):
    """Nothing is retried."""
    answer = api.post("/v1/jobs/retry", json=body)

    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json["errors"]] == [pointer]
    assert state_of(ended["failed"]) == ["failed"]


def test_a_retry_without_rabbitmq_is_published_once(store, ended, dispatcher, queue, channel):
    """As after a process that died between its two steps: `relay` publishes what it recorded."""
    channel.queue_purge(queue)
    away = Dispatcher(store, Publisher("amqp://guest:guest@127.0.0.1:1/"))

    done = retry_found(away, Filter(tag="a"), cursor=None, limit=100)
    assert (done.retried, done.skipped, done.cursor) == (3, 0, None)
    again = retry_found(away, Filter(tag="a"), cursor=None, limit=100)
    assert again.retried == 0
    relay = Relay(dispatcher, older_than_s=0)
    for _ in range(3):
        relay.run_once()

    ids = [decode(body).message_id for body in _bodies(channel, queue)]
    retried = {ended[state] for state in ("failed", "cancelled", "expired")}
    assert sorted(retried) == sorted(each for each in ids if each in retried)


def _bodies(channel, queue):
    while (message := channel.basic_get(queue, auto_ack=True))[0] is not None:
        yield message[2]


def _retried(api):
    lines = api.get("/metrics").get_data(as_text=True).splitlines()
    told = [line for line in lines if line.startswith("taskyard_operator_retries_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in told)


def test_a_unique_job_is_not_retried_beside_one_like_it(retry, api, submit, conforms, state_of):
    """The answer names the one that lives; of many such jobs, these are skipped."""
    first = submit(task="once", args=[1], tags=["u"])
    api.post(f"/v1/jobs/{first}/cancel")
    second = submit(task="once", args=[1], tags=["u"])

    answer = api.post(f"/v1/jobs/{first}/retry")

    assert (answer.status_code, answer.json["code"]) == (409, "not_unique")
    assert (answer.json["job_id"], conforms(answer.json, "Problem")) == (second, [])
    done = retry(filter={"tag": "u"})
    assert (done["retried"], done["skipped"], state_of(first)) == (0, 1, ["cancelled"])

    api.post(f"/v1/jobs/{second}/cancel")
    assert api.post(f"/v1/jobs/{first}/retry").status_code == 202
    assert api.post("/v1/jobs", json={"task": "once", "args": [1]}).json["job_id"] == first
