"""The audit log over REST: each action of an operator is in it, and nothing else."""

import json
import re
from typing import Any, get_args

import pytest

from taskyard.errors import StoreUnavailable
from taskyard.operations.audit_log import ActionName
from tests.integration.letters import entry

pytest_plugins = ["tests.integration.api_fixtures"]

MARKER = "marker-4111"
LOG = "/v1/audit-log"
#: Done by the command line only.
ELSEWHERE = {"jobs.repair", "queue.move", "key.create", "key.revoke", "key.forget"}


@pytest.fixture
def entries(api, conforms):
    """A function that returns the entries of a query, the oldest first."""

    def read(**query: Any) -> list[dict[str, Any]]:
        answer = api.get(LOG, query_string=query)
        assert answer.status_code == 200, answer.json
        assert conforms(answer.json, "ActionPage") == []
        return answer.json["items"][::-1]

    return read


@pytest.fixture
def written(store, submit, worker, catalogued):
    """A function that makes a dead letter, of a job or of what never was one, and returns its id."""

    def bury(*, is_job: bool = True) -> str:
        letter_id = submit(args=[MARKER]) if is_job else "letter-1"
        if is_job:
            worker.run(letter_id, "failed")
        letter = entry(letter_id, catalogued, is_job=is_job)
        body = json.dumps({"args": [], "kwargs": {}}) if is_job else ""
        store.index_dead_letters([(letter, body)])
        return letter_id

    return bury


def done(answer: Any) -> Any:
    """Return an answer that is a success."""
    assert answer.status_code < 300, answer.json
    return answer


def test_an_entry_tells_who_what_when_and_in_which_request(api, entries, catalogued):
    """With what it was and what it is."""
    path = f"/v1/queues/{catalogued}"
    paused = api.post(f"{path}/pause", json={"reason": "why"}, headers={"X-Request-Id": "r-1"})
    done(api.post(f"{path}/resume"))

    pause, resume = entries()

    assert tuple(
        pause[name] for name in ("action", "target", "who", "origin", "outcome", "request_id")
    ) == ("queue.pause", catalogued, "anonymous", "api", "done", "r-1")
    assert {"paused": None} == pause["before"] == resume["after"]
    assert {"paused": paused.json["paused"]} == pause["after"] == resume["before"]
    assert resume["action"] == "queue.resume"
    assert pause["at"] <= resume["at"]


def test_every_action_is_in_it_and_no_argument(api, entries, submit, worker, written, catalogued):
    """The names of arguments that were changed are; what they were, and are now, is not."""
    task, queue = "/v1/tasks/echo", f"/v1/queues/{catalogued}"
    secret = {"args": [MARKER]}
    schedule = {"name": "s", "task": "echo", "every_s": 60, **secret}
    for path in (f"{task}/pause", f"{task}/resume", f"{queue}/pause", f"{queue}/resume"):
        done(api.post(path))
    done(api.put(f"{task}/limits", json={"concurrency": 2, "rate": None}))
    done(api.delete(f"{task}/limits"))
    done(api.post("/v1/schedules", json=schedule))
    done(api.put("/v1/schedules/s", json={**schedule, "every_s": 30, "args": [MARKER * 2]}))
    for action in ("pause", "resume", "trigger"):
        done(api.post(f"/v1/schedules/s/{action}"))
    done(api.delete("/v1/schedules/s"))
    waiting = submit(delay_s=3600, **secret)
    done(api.patch(f"/v1/jobs/{waiting}", json={"priority": 9, "kwargs": {}, **secret}))
    done(api.post(f"/v1/jobs/{waiting}/run-now"))
    ended = submit(**secret)
    worker.run(ended)
    done(api.delete(f"/v1/jobs/{ended}"))
    cancelled = submit(delay_s=3600, **secret)
    done(api.post(f"/v1/jobs/{cancelled}/cancel"))
    done(api.post(f"/v1/jobs/{cancelled}/retry"))
    done(api.post("/v1/jobs/cancel", json={"filter": {"task": "echo"}}))
    done(api.post("/v1/jobs/retry", json={"filter": {"task": "echo"}}))
    submit(**secret)
    done(api.post(f"{queue}/purge"))
    dead = written()
    replay = {"ids": [dead], "args": [MARKER], "kwargs": {}}
    started = done(api.post("/v1/dead-letters/replay", json=replay)).json
    done(api.post(f"{started['links']['self']}/stop"))
    letter = written(is_job=False)
    done(api.post(f"/v1/dead-letters/{letter}/resubmit", json={"task": "echo", **secret}))
    done(api.post("/v1/dead-letters/purge", json={"filter": {}}))

    found = {entry["action"]: entry for entry in entries(limit=500)}

    assert set(found) == set(get_args(ActionName)) - ELSEWHERE
    assert {entry["outcome"] for entry in found.values()} == {"done"}
    assert MARKER not in json.dumps(found)
    change = found["schedule.change"]
    assert change["before"] == {"every_s": 60.0, "version": 1}
    assert change["after"] == {"every_s": 30.0, "version": 2, "changed": ["args"]}
    assert found["job.change"]["before"] == {"priority": 4}
    assert found["job.change"]["after"] == {"priority": 9, "changed": ["args", "kwargs"]}
    assert (
        found["job.cancel"]["before"]["state"],
        found["job.cancel"]["after"]["verdict"],
    ) == ("scheduled", "cancelled")
    assert found["jobs.cancel"]["before"] == {"filter": {"task": "echo"}}
    assert found["jobs.cancel"]["after"]["cancelled"] >= 1
    assert found["jobs.retry"]["before"] == {"filter": {"task": "echo"}}
    assert found["queue.purge"]["after"]["left"] == 0
    assert found["queue.purge"]["after"]["cancelled"] >= 1
    assert found["replay.start"]["before"] == {"ids": [dead], "count": 1}
    assert found["replay.start"]["after"]["changed"] == ["args", "kwargs"]
    assert found["task.limit"]["after"] == {"concurrency": 2, "rate": None, "is_set": True}


def test_what_changed_nothing_is_not_in_it(api, entries, submit, catalogued):
    """Refused requests, dry runs, a pause of what is paused."""
    job_id = submit(delay_s=3600)
    done(api.post(f"/v1/queues/{catalogued}/pause"))
    (pause,) = entries()

    api.post(f"/v1/queues/{catalogued}/pause")
    api.post("/v1/queues/nothing/pause")
    api.post("/v1/tasks/echo/resume")
    api.post("/v1/jobs/nothing/cancel")
    api.delete(f"/v1/jobs/{job_id}")
    api.post(f"/v1/jobs/{job_id}/retry")
    api.patch(f"/v1/jobs/{job_id}", json={"priority": 77})
    api.post("/v1/jobs/cancel", json={"filter": {"task": "echo"}, "dry_run": True})
    api.post("/v1/jobs/cancel", json={"filter": {"task": "add"}})
    api.post("/v1/jobs/cancel", json={"filter": {"task": "add"}, "cursor": "x"})
    api.post("/v1/jobs/retry", json={"filter": {"task": "add"}})
    api.post("/v1/jobs/retry", json={"filter": {"task": "echo"}, "dry_run": True})
    api.post("/v1/dead-letters/purge", json={"filter": {}, "dry_run": True})
    api.post("/v1/dead-letters/purge", json={"filter": {}})
    api.post("/v1/dead-letters/purge", json={"ids": ["nothing"]})
    api.post("/v1/dead-letters/replay", json={"filter": {}, "dry_run": True})
    api.post(f"/v1/queues/{catalogued}/purge", json={"dry_run": True})
    api.delete("/v1/schedules/nothing")
    api.post("/v1/schedules/nothing/trigger")

    assert entries() == [pause]


def test_without_an_entry_nothing_is_done(api, monkeypatch, store, catalogued):
    """The store that does not take it answers for the action."""

    def refuse(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("no")

    monkeypatch.setattr(store, "begin_action", refuse)

    answer = api.post(f"/v1/queues/{catalogued}/pause")

    assert (answer.status_code, answer.json["code"]) == (503, "store_unavailable")
    assert store.pauses("queue") == {}


def test_what_may_have_been_done_stays_in_it(api, monkeypatch, store, entries, catalogued):
    """A call that was cut off, and an action whose end could not be written down."""

    def cut_off(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(store, "pause", cut_off)
        assert api.post(f"/v1/queues/{catalogued}/pause").status_code == 503
    with monkeypatch.context() as patch:
        patch.setattr(store, "end_action", cut_off)
        assert api.post("/v1/tasks/echo/pause").status_code == 200

    assert [(entry["action"], entry["outcome"]) for entry in entries()] == [
        ("queue.pause", "unknown"),
        ("task.pause", "unknown"),
    ]
    assert set(store.pauses("task")) == {"echo"}


def test_filters_and_pages(api, entries, catalogued):
    """The link leads to the next page of the same query, until there is none."""
    for _ in range(3):
        done(api.post("/v1/tasks/echo/pause"))
        done(api.post("/v1/tasks/echo/resume"))
    done(api.post(f"/v1/queues/{catalogued}/pause"))
    last = entries()[-1]["at"]

    assert len(entries(action="task")) == 6
    assert len(entries(action="task.pause", target="echo", who="anonymous")) == 3
    assert entries(who="someone") == []
    assert entries(after="2100-01-01T00:00:00Z") == []
    assert len(entries(after="2000-01-01T00:00:00Z", before=last)) == 7

    seen: list[Any] = []
    path: str | None = f"{LOG}?action=task&limit=4"
    while path:
        page = done(api.get(path))
        seen += page.json["items"]
        link = re.fullmatch(r'<(.+)>; rel="next"', page.headers.get("Link", ""))
        path = link[1] if link else None
        assert (link is None) == (page.json["cursor"] is None)
    assert entries(action="task") == seen[::-1]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=x", "limit=501", "cursor=%00", "after=yesterday", "who=", "nothing=1"],
)
def test_a_bad_query_is_refused_by_name(api, query):
    """Each with the parameter."""
    answer = api.get(f"{LOG}?{query}")

    assert answer.status_code == 422
    assert query.partition("=")[0] == answer.json["errors"][0]["parameter"]


def test_times_of_a_filter_are_written_as_the_command_line_does(api, entries, submit, catalogued):
    """So that both doors' entries can be compared."""
    submit()
    times = {"created_after": "2026-01-01T00:00:00Z", "created_before": "2126-01-01T01:00:00+01:00"}

    api.post("/v1/jobs/cancel", json={"filter": times})

    written = {
        "created_after": "2026-01-01T00:00:00.000Z",
        "created_before": "2126-01-01T00:00:00.000Z",
    }
    (entry,) = entries()
    assert entry["before"] == {"filter": written}
