"""Live streams: of one job, and of the states of all jobs."""

import json
import re
import threading

import pytest
from prometheus_client import REGISTRY

from services.api.app import create_app
from services.api.events import hub
from services.api.events.stream_slots import StreamSlots
from services.api.routes import events as streams
from tests.contract import jobs
from tests.contract.jobs import HOUR_MS
from tests.polling import poll

pytest_plugins = ["tests.integration.api_fixtures"]


@pytest.fixture
def api(settings, dispatcher, catalogued):
    """A client of an application that is stopped before its store is closed."""
    stopping = threading.Event()
    app = create_app(settings, dispatcher, is_stopping=stopping.is_set)
    yield app.test_client()
    stopping.set()
    poll(lambda: not app.extensions["taskyard"].hub.is_running)


class Stream:
    """Reads the events of one answer."""

    def __init__(self, api, path, **headers):
        self.answer = api.get(path, headers=headers)
        self._chunks = self.answer.iter_encoded()
        self._told = []

    def next(self):
        """Return the next event as (name, id, data); comments are left out."""
        while not self._told:
            chunk = next(self._chunks, None)
            if chunk is None:
                return None
            self._told += [
                fields for text in chunk.decode().split("\n\n") if (fields := _fields(text))
            ]
        fields = self._told.pop(0)
        return fields["event"], fields["id"], json.loads(fields["data"])

    def states(self, count):
        """Return so many next states, as (job, state)."""
        events = [self.next() for _ in range(count)]
        assert {name for name, _, _ in events} == {"state"}
        return [(data["id"], data["state"]) for _, _, data in events]

    def chunk(self):
        """Return the next that comes, event or comment, as it is."""
        return next(self._chunks)

    def comment(self):
        """Return the next chunk, which is a comment."""
        chunk = self.chunk()
        assert chunk.startswith(b":")
        return chunk

    def close(self):
        """Leave."""
        self.answer.close()


def _fields(text):
    """Return the fields of an event; nothing of a comment, which may have an id."""
    fields = dict(line.split(": ", 1) for line in text.splitlines() if line and line[0] != ":")
    return fields if "event" in fields else None


def test_a_job_is_streamed_until_it_ends(api, submit, store, worker, conforms):
    """Each change is one event with the whole job; after the end a browser is sent away."""
    job_id = submit()
    path = f"/v1/jobs/{job_id}/events"
    stream = Stream(api, path)
    assert stream.answer.content_type == "text/event-stream"

    name, _, job = stream.next()
    assert (name, job["state"]) == ("job", "pending")
    assert conforms(job, "Job") == []
    token = worker.start(job_id)
    assert stream.next()[2]["state"] == "running"
    store.progress(job_id, token, '{"done": 1, "total": 2, "note": ""}')
    assert stream.next()[2]["progress"]["done"] == 1
    worker.end(job_id, token, "completed", result="7")
    _, last_id, job = stream.next()
    assert (job["state"], job["result"]) == ("completed", 7)
    assert stream.next() is None

    assert api.get(path, headers={"Last-Event-ID": last_id}).status_code == 204
    again = Stream(api, path, **{"Last-Event-ID": "other"})
    assert again.next()[1] == last_id


def test_a_parked_job_s_stream_tells_of_no_looks_at_it(api, submit, store):
    """Whether its message is in the queue for another look, or it waits for the next."""
    job_id = submit()

    def told():
        stream = Stream(api, f"/v1/jobs/{job_id}/events")
        _, version, job = stream.next()
        stream.close()
        return version, job["state"]

    def park(delay_ms):
        jobs.claim(store, job_id, park_delay_ms=delay_ms, park_ttl_ms=HOUR_MS)

    before = told()
    park(1)
    parked = told()
    poll(lambda: store.take_due(10)[0])
    looked_at = told()
    park(HOUR_MS)
    again = told()

    assert [state for _, state in (before, parked, looked_at, again)] == [
        "pending",
        "scheduled",
        "pending",
        "scheduled",
    ]
    assert parked[0] == looked_at[0] == again[0] != before[0]


def test_a_stream_goes_on_after_the_last_event(api, submit, worker):
    """What the client has seen is not told again."""
    job_id = submit()
    path = f"/v1/jobs/{job_id}/events"
    first = Stream(api, path)
    _, seen, _ = first.next()
    first.close()

    worker.run(job_id)

    assert Stream(api, path, **{"Last-Event-ID": seen}).next()[2]["state"] == "completed"


def test_a_job_that_is_removed_ends_its_stream(api, submit, store):
    """There is nothing more to tell."""
    job_id = submit()
    stream = Stream(api, f"/v1/jobs/{job_id}/events")
    stream.next()

    store.withdraw([job_id])

    assert stream.next() is None


def test_an_unknown_job_has_no_stream(api):
    """404, as elsewhere."""
    assert api.get("/v1/jobs/nothing/events").status_code == 404


def test_every_state_of_every_job_is_streamed(api, submit, store, worker, conforms, catalogued):
    """Each once and in its order, whichever script wrote it."""
    stream = Stream(api, "/v1/events")
    stream.comment()
    first = submit(expires_s=60)
    _, _, event = stream.next()
    assert conforms(event, "StateEvent") == []
    expected = {"id": first, "task": "echo", "queue": catalogued, "state": "pending", "attempt": 0}
    assert {name: event[name] for name in expected} == expected

    worker.end(first, worker.start(first), "retrying", delay_ms=0)
    store.take_due(10)
    token = jobs.claim(store, first, 2, queue=catalogued).token
    worker.end(first, token, "failed")
    assert api.post(f"/v1/jobs/{first}/retry").status_code == 202
    worker.end(first, jobs.claim(store, first, 3, queue=catalogued).token, "released")
    jobs.claim(store, first, 3, queue=catalogued, expires_ms=1)
    states = ["running", "retrying", "pending", "running", "failed", "pending"]
    states += ["running", "pending", "expired"]
    assert [(first, state) for state in states] == stream.states(9)

    second = submit(delay_s=3600)
    store.cancel([second], HOUR_MS)
    third = submit()
    jobs.claim(store, third, queue=catalogued, park_delay_ms=1000, park_ttl_ms=1000)
    assert stream.states(2) == [(second, "scheduled"), (second, "cancelled")]
    assert stream.states(2) == [(third, "pending"), (third, "scheduled")]
    stream.close()


def test_states_are_told_again_to_who_comes_back(api, submit, store, worker):
    """After the last event that the client got; who comes from elsewhere is told that some are missed."""
    stream = Stream(api, "/v1/events")
    stream.comment()
    first = submit()
    _, seen, _ = stream.next()
    stream.close()

    worker.run(first)

    back = Stream(api, "/v1/events", **{"Last-Event-ID": seen})
    assert back.states(2) == [(first, "running"), (first, "completed")]
    back.close()
    for other in ("elsewhere/5", seen + "0000", "nonsense"):
        stranger = Stream(api, "/v1/events", **{"Last-Event-ID": other})
        assert stranger.next()[0] == "missed"
        stranger.close()


def test_a_stream_can_be_of_some_states(api, submit, worker, store, catalogued):
    """By state, task and queue; the number of what it left out comes with a sign of life."""
    path = f"/v1/events?state=completed,cancelled&task=echo&queue={catalogued}"
    stream = Stream(api, path)
    elsewhere = Stream(api, "/v1/events?task=add")
    for each in (stream, elsewhere):
        each.comment()
    first, second = submit(), submit()
    worker.run(first)
    store.cancel([second], HOUR_MS)
    third = api.post("/v1/jobs", json={"task": "add", "args": [1]}).json["id"]

    assert stream.states(2) == [(first, "completed"), (second, "cancelled")]
    assert elsewhere.states(1) == [(third, "pending")]
    stream.close()
    elsewhere.close()


@pytest.mark.parametrize("query", ["state=late", "colour=red", "queue=no%20name", "task="])
def test_a_filter_that_is_no_good_is_refused(api, query):
    """And named; no place is taken."""
    answer = api.get(f"/v1/events?{query}")

    assert answer.status_code == 422
    assert [fault["parameter"] for fault in answer.json["errors"]] == [query.partition("=")[0]]


def test_a_slow_client_is_told_that_it_missed_something(api, submit, monkeypatch):
    """What is kept for all streams is bounded, and so is what one of them is behind."""
    monkeypatch.setattr(hub, "KEPT_EVENTS", 5)
    stream = Stream(api, "/v1/events")
    stream.comment()
    for _ in range(6):
        submit()
    poll(lambda: api.application.extensions["taskyard"].hub.last >= 6)

    assert stream.next()[0] == "missed"
    latest = submit()
    assert stream.states(1) == [(latest, "pending")]
    stream.close()


def test_silence_is_broken(api, submit, monkeypatch):
    """So that nobody on the way closes the connection."""
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.0)
    stream = Stream(api, f"/v1/jobs/{submit()}/events")
    stream.next()

    assert stream.comment() == b": still here\n\n"
    stream.close()


def test_a_sign_of_life_has_the_number_of_the_last_event(api, submit, monkeypatch):
    """So who wants few of them does not come back to one that is long gone."""
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.0)
    stream = Stream(api, "/v1/events?state=failed")
    stream.comment()
    submit()

    poll(lambda: re.fullmatch(rb"id: [^/]+/1\n: still here\n\n", stream.chunk()))
    stream.close()


@pytest.mark.parametrize("path", ["/v1/events", "/v1/jobs/a/events"])
def test_streams_are_few(api, path):
    """Who finds no place comes again later; a place is free again when a stream ends."""
    api.application.extensions["taskyard"].stream_slots = StreamSlots(2)
    before = streams_told()
    api.post("/v1/jobs", json={"task": "echo", "id": "a"})
    taken = [Stream(api, path) for _ in range(2)]
    for stream in taken:
        stream.chunk()

    refused = api.get(path)
    assert (refused.status_code, refused.json["code"]) == (503, "too_many_streams")
    assert refused.headers["Retry-After"] == "5"
    open_ones, limit, refusals = streams_told()
    assert (open_ones - before[0], limit, refusals - before[2]) == (2, 2, 1)

    taken[0].close()
    again = Stream(api, path)
    assert again.answer.status_code == 200
    again.close()
    taken[1].close()
    assert before[0] == streams_told()[0]


def streams_told():
    """Return the streams that are open, that may be, and that were refused, as Prometheus is told."""
    ends = ("", "_limit", "_refused_total")
    return [REGISTRY.get_sample_value(f"taskyard_http_streams{end}") for end in ends]
