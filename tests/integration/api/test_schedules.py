"""Schedules over REST."""

from datetime import datetime

import pytest

from taskyard.schedules.repository import ScheduleRepository
from taskyard.schedules.rule import parse

pytest_plugins = ["tests.integration.api_fixtures"]

ASKED = {"name": "nightly", "task": "add", "args": [1, 2], "cron": "30 3 * * *"}
PATH = "/v1/schedules/nightly"


@pytest.fixture
def nightly(api):
    """The answer to adding a schedule."""
    answer = api.post("/v1/schedules", json=ASKED)
    assert answer.status_code == 201, answer.json
    return answer


def test_a_schedule_is_added_and_shown(api, nightly, conforms):
    """With every field, its next fire time, its place and its version."""
    shown = api.get(PATH)

    assert (200, nightly.json, '"1"') == (shown.status_code, shown.json, shown.headers["ETag"])
    assert (nightly.headers["Location"], nightly.headers["ETag"]) == (PATH, '"1"')
    assert conforms(shown.json, "Schedule") == []
    assert tuple(shown.json[name] for name in ("missed", "overlap", "timezone", "is_declared")) == (
        "once",
        "allow",
        "UTC",
        False,
    )
    assert shown.json["next_fire_at"].endswith("T03:30:00.000Z")
    assert api.get("/v1/schedules").json["items"] == [nightly.json]
    assert conforms(api.get("/v1/schedules").json, "ScheduleList") == []


def test_every_fault_is_named(api, conforms):
    """Of the schedule and of its jobs at once."""
    answer = api.post(
        "/v1/schedules",
        json={"name": "a b", "task": "add", "args": ["x"], "cron": "* * * * * *", "queue": "?"},
    )

    assert (answer.status_code, answer.json["code"]) == (422, "invalid")
    assert conforms(answer.json, "Problem") == []
    assert {fault["pointer"] for fault in answer.json["errors"]} == {
        "/name",
        "/args/0",
        "/cron",
        "/queue",
    }


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"task": "unheard_of"}, "/task"),
        ({"kwargs": {"c": 1}}, "/kwargs/c"),
        ({"every_s": 5}, "/every_s"),
        ({"cron": "0 0 30 2 *"}, "/cron"),
        ({"timezone": "Mars/Olympus"}, "/timezone"),
        ({"id": "x"}, "/id"),
        ({"queue": "x.dead"}, "/queue"),
    ],
)
def test_what_cannot_fire_is_refused(api, fields, pointer):
    """Like a job that cannot run."""
    answer = api.post("/v1/schedules", json={**ASKED, **fields})

    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json["errors"]] == [pointer]


def test_a_name_is_taken_once(api, nightly):
    """The second is told so."""
    answer = api.post("/v1/schedules", json={**ASKED, "args": [3]})

    assert (answer.status_code, answer.json["code"]) == (409, "exists")
    assert api.get(PATH).json["args"] == [1, 2]


def test_put_replaces_or_adds(api, nightly):
    """As a whole: what is not given gets its default."""
    body = {"task": "add", "args": [5], "every_s": 60}

    replaced = api.put(PATH, json=body)
    added = api.put("/v1/schedules/other", json=body)
    wrong = api.put("/v1/schedules/other", json={**body, "name": "another"})

    assert (replaced.status_code, replaced.headers["ETag"]) == (200, '"2"')
    assert tuple(replaced.json[name] for name in ("args", "cron", "every_s")) == ([5], None, 60)
    assert (added.status_code, added.headers["ETag"], added.json["name"]) == (201, '"1"', "other")
    assert (wrong.status_code, wrong.json["errors"][0]["pointer"]) == (422, "/name")


def test_what_get_gives_can_be_changed_and_sent_back(api, nightly):
    """Fields that are only shown are ignored; it fires at the same times, so it goes on as it was."""
    sent = {**nightly.json, "description": "new", "next_fire_at": None}

    answer = api.put(PATH, json=sent, headers={"If-Match": nightly.headers["ETag"]})

    assert (
        answer.status_code,
        answer.json["description"],
        answer.json["version"],
    ) == (200, "new", 2)
    assert nightly.json["next_fire_at"] == answer.json["next_fire_at"]


def test_if_match_guards_changes(api, nightly):
    """Who knows an old version, or one of nothing, changes nothing."""
    body = {**ASKED, "args": [9]}

    def put(tag: str, path: str = PATH) -> int:
        data = {**body, "name": path.rpartition("/")[2]}
        return int(api.put(path, json=data, headers={"If-Match": tag}).status_code)

    assert [put('"7"'), put('"1"'), put('"1"'), put('W/"2"')] == [412, 200, 412, 412]
    assert [
        put('"1"', "/v1/schedules/no"),
        put("*", "/v1/schedules/no"),
        put("*"),
    ] == [412, 412, 200]
    answer = api.delete(PATH, headers={"If-Match": '"1"'})
    assert (answer.status_code, answer.json["code"]) == (412, "version_mismatch")
    assert api.delete(PATH, headers={"If-Match": '"3"'}).status_code == 204


def test_if_none_match_adds_and_never_replaces(api, nightly):
    """So that two who choose the same name do not overwrite each other."""

    def put(path: str, tag: str) -> tuple[int, str | None]:
        data = {**ASKED, "name": path.rpartition("/")[2], "args": [9]}
        answer = api.put(path, json=data, headers={"If-None-Match": tag})
        return answer.status_code, answer.json.get("code")

    assert put(PATH, "*") == (412, "version_mismatch")
    assert put(PATH, nightly.headers["ETag"]) == (412, "version_mismatch")
    assert put(f"{PATH}-b", "*") == (201, None)
    assert ASKED["args"] == api.get(PATH).json["args"]


def test_a_removed_schedule_is_gone(api, nightly):
    """Every route says so."""
    assert api.delete(PATH).status_code == 204

    answers = [
        api.get(PATH),
        api.delete(PATH),
        api.post(f"{PATH}/pause"),
        api.post(f"{PATH}/resume"),
        api.post(f"{PATH}/trigger"),
        api.get(f"{PATH}/preview"),
        api.get(f"{PATH}/history"),
    ]

    assert [(each.status_code, each.json["code"]) for each in answers] == [(404, "not_found")] * 7


def test_pause_and_resume(api, nightly):
    """Asked twice, they do nothing more."""
    paused = [api.post(f"{PATH}/pause") for _ in range(2)]
    resumed = api.post(f"{PATH}/resume")

    assert [
        (each.json["is_paused"], each.json["next_fire_at"], each.json["version"]) for each in paused
    ] == [(True, None, 2)] * 2
    assert (resumed.json["is_paused"], resumed.json["version"]) == (False, 3)
    assert resumed.json["next_fire_at"] == nightly.json["next_fire_at"]


def test_trigger_runs_it_now(api, nightly, conforms):
    """Also while it is paused; fire times and version stay, the history has it."""
    api.post(f"{PATH}/pause")
    before = api.get(PATH).json

    answer = api.post(f"{PATH}/trigger")

    assert (
        answer.status_code,
        *(answer.json[name] for name in ("origin", "args", "task")),
    ) == (202, "schedule", [1, 2], "add")
    assert answer.headers["Location"] == answer.json["links"]["self"]
    assert api.get(PATH).json == before
    history = api.get(f"{PATH}/history").json
    assert [(event["outcome"], event["job_id"]) for event in history["items"]] == [
        ("triggered", answer.json["id"])
    ]
    assert conforms(history, "FireEventList") == []
    assert conforms(answer.json, "Job") == []


def test_preview(api, nightly, conforms):
    """Of one that is there, and of one that is not yet."""
    body = {**ASKED, "name": "x", "cron": "0 12 * * *", "timezone": "Asia/Kolkata"}

    there = api.get(f"{PATH}/preview?count=3").json
    other = api.post("/v1/schedules/preview?count=2", json=body).json

    times = [datetime.fromisoformat(each) for each in there["items"]]
    assert len(times) == 3
    assert {f"{each:%H:%M}" for each in times} == {"03:30"}
    assert conforms(there, "FireTimes") == []
    assert [each[10:] for each in other["items"]] == ["T06:30:00.000Z"] * 2
    assert len(api.get(f"{PATH}/preview").json["items"]) == 10
    assert api.get("/v1/schedules/x").status_code == 404


@pytest.mark.parametrize("count", ["0", "101", "x", "-1", "1.5", "9" * 30, ""])
@pytest.mark.parametrize("path", ["preview", "history"])
def test_a_wrong_count_is_refused(api, nightly, count, path):
    """It is a whole number from 1 to 100."""
    answer = api.get(f"{PATH}/{path}?count={count}")

    assert (answer.status_code, answer.json["errors"][0]["parameter"]) == (422, "count")


def test_declared_ones_are_changed_in_their_file_only(api, store, catalogued):
    """But they can be paused, resumed and triggered."""
    ScheduleRepository(store).synchronise([parse(ASKED)])

    refused = [api.put(PATH, json=ASKED), api.delete(PATH)]

    assert [(each.status_code, each.json["code"]) for each in refused] == [(409, "declared")] * 2
    assert api.get(PATH).json["is_declared"]
    assert [api.post(f"{PATH}/{what}").status_code for what in ("pause", "resume", "trigger")] == [
        200,
        200,
        202,
    ]
