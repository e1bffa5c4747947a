"""What may be asked of a job."""

from datetime import UTC, datetime
from typing import Any

import jsonschema_rs
import pytest

from taskyard.errors import InvalidSubmission
from taskyard.job_creation import Defaults, new_job
from taskyard.message import MAX_SECONDS, decode
from taskyard.request import RESERVED_IDS, JobRequest, parse
from taskyard.schedules.rule import name_of

DEFAULTS = Defaults(queue="default", priority=5, max_retries=3, timeout_s=600)


def faults(**fields: Any) -> dict[str, str]:
    """Return the faults of a submission, code by pointer."""
    with pytest.raises(InvalidSubmission) as caught:
        parse({"task": "add", **fields})
    return {fault.pointer: fault.code for fault in caught.value.faults}


def job(payload_max_bytes: int = 100_000, **fields: Any):
    request = parse({"task": "add", **fields})
    return new_job(request, DEFAULTS, origin="api", payload_max_bytes=payload_max_bytes)


def test_a_task_is_enough():
    """Everything else has a default."""
    made = job()
    message = decode(made.body)

    assert (
        made.task,
        made.queue,
        made.priority,
        made.delay_ms,
        made.run_at_ms,
    ) == ("add", "default", 5, None, None)
    assert (made.id, "api", 3, 600, None) == (
        message.message_id,
        message.options.origin,
        message.options.max_retries,
        message.timeout_s,
        message.expires_s,
    )


def test_every_field_is_taken_over():
    """From the request to the job and its message."""
    made = job(
        args=[1],
        kwargs={"a": None},
        id="x",
        queue="q",
        priority=0,
        delay_s=1.5,
        expires_s=2,
        max_retries=0,
        timeout_s=3,
        tags=["t"],
    )
    message = decode(made.body)

    assert (made.id, made.queue, made.priority, made.delay_ms) == ("x", "q", 0, 1500)
    assert (
        message.args,
        message.kwargs,
        message.expires_s,
        message.options.max_retries,
        message.timeout_s,
        message.options.tags,
    ) == ([1], {"a": None}, 2, 0, 3, ["t"])


@pytest.mark.parametrize(
    ("run_at", "milliseconds"),
    [
        ("2026-11-24T10:00:00Z", 1795514400000),
        ("2026-11-24T10:00:00.123+02:00", 1795507200123),
        (datetime(2026, 11, 24, 10, tzinfo=UTC), 1795514400000),
    ],
)
def test_a_run_time_has_a_time_zone(run_at, milliseconds):
    """As text (RFC 3339) or, in Python, as a datetime."""
    assert job(run_at=run_at).run_at_ms == milliseconds


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"task": ""}, "/task"),
        ({"task": "a\n"}, "/task"),
        ({"task": None}, "/task"),
        ({"id": "a b"}, "/id"),
        ({"id": "a\n"}, "/id"),
        ({"id": ""}, "/id"),
        ({"id": "a" * 129}, "/id"),
        ({"args": "text"}, "/args"),
        ({"kwargs": []}, "/kwargs"),
        ({"queue": "a b"}, "/queue"),
        ({"queue": "q.dead"}, "/queue"),
        ({"queue": "taskyard.intake"}, "/queue"),
        ({"queue": "amq.gen-1"}, "/queue"),
        ({"priority": 10}, "/priority"),
        ({"priority": -1}, "/priority"),
        ({"priority": True}, "/priority"),
        ({"priority": "5"}, "/priority"),
        ({"priority": 1.5}, "/priority"),
        ({"delay_s": -0.1}, "/delay_s"),
        ({"delay_s": MAX_SECONDS + 1}, "/delay_s"),
        ({"delay_s": float("inf")}, "/delay_s"),
        ({"delay_s": float("nan")}, "/delay_s"),
        ({"delay_s": True}, "/delay_s"),
        ({"run_at": "tomorrow"}, "/run_at"),
        ({"run_at": "2026-11-24T10:00:00"}, "/run_at"),
        ({"run_at": "2026-11-24"}, "/run_at"),
        ({"run_at": "0001-01-01T00:00:00+14:00"}, "/run_at"),
        ({"run_at": "9999-12-31T23:59:59-14:00"}, "/run_at"),
        ({"run_at": 1795514400}, "/run_at"),
        ({"run_at": "2026-11-24T10:00:00Z", "delay_s": 1}, "/run_at"),
        ({"expires_s": 0}, "/expires_s"),
        ({"max_retries": 1001}, "/max_retries"),
        ({"timeout_s": 0}, "/timeout_s"),
        ({"tags": [""]}, "/tags/0"),
        ({"tags": ["a"] * 21}, "/tags"),
        ({"a/b~c": 1}, "/a~1b~0c"),
        ({"reply": "result"}, "/reply"),
    ],
)
def test_a_bad_field_is_pointed_at(fields, pointer):
    """By a JSON pointer."""
    assert list(faults(**fields)) == [pointer]


def test_a_field_of_another_door_is_told_as_such():
    """Whoever asks REST for a reply learns what to do instead."""
    with pytest.raises(InvalidSubmission, match="wait for the job"):
        parse({"task": "add", "reply": "result"})


def test_all_faults_come_at_once():
    """Fields, unknown names, and fields taken together."""
    found = faults(priority="x", colour=1, run_at="2026-11-24T10:00:00Z", delay_s=1)

    assert set(found) == {"/priority", "/colour", "/run_at"}


@pytest.mark.parametrize("fields", [{"priority": 3.0}, {"max_retries": 3.0}, {"delay_s": 1}])
def test_whole_numbers_may_have_a_point(fields):
    """JSON knows one kind of number."""
    assert parse({"task": "add", **fields}).task == "add"


def test_a_large_job_is_refused():
    """By the bytes of its whole message."""
    with pytest.raises(InvalidSubmission, match="PAYLOAD_MAX_BYTES") as caught:
        job(2000, args=["ä" * 1000])

    assert [fault.code for fault in caught.value.faults] == ["too_large"]


@pytest.mark.parametrize("value", [object(), {1j: 1}, [lambda: 1]])
def test_arguments_without_a_json_form_are_refused(value):
    """From Python anything may come."""
    with pytest.raises(InvalidSubmission) as caught:
        job(args=[value])

    assert [fault.code for fault in caught.value.faults] == ["not_json"]


@pytest.mark.parametrize(
    ("value", "pointer", "code"),
    [
        (float("nan"), "/args/0", "not_finite"),
        ([1, {"a": float("-inf")}], "/args/0/1/a", "not_finite"),
        ({float("inf")}, "/args/0/0", "not_finite"),
        ("\ud800", "/args/0", "not_unicode"),
    ],
)
def test_what_would_be_changed_on_its_way_is_refused(value, pointer, code):
    """JSON has no NaN: it would arrive as null."""
    with pytest.raises(InvalidSubmission) as caught:
        job(args=[value])

    assert [(fault.pointer, fault.code) for fault in caught.value.faults] == [(pointer, code)]


def test_null_is_no_fault():
    """Neither is a text that says so."""
    assert decode(job(args=[None, "null", 1.5]).body).args == [None, "null", 1.5]


@pytest.mark.parametrize("job_id", sorted(RESERVED_IDS))
def test_ids_with_a_meaning_in_paths_are_refused(job_id):
    """`GET /v1/jobs/count` could not show a job of this id."""
    assert faults(id=job_id) == {"/id": "reserved"}


FIRE_IDS = ["nightly:20261125T023000Z", "a.b_c-d:20261125T023000.007Z", "s:20261125T023000Z:0"]


@pytest.mark.parametrize("job_id", FIRE_IDS)
def test_ids_of_fire_times_are_refused(job_id):
    """Whoever took one beforehand would keep a schedule from firing; the schema says the same."""
    validator = jsonschema_rs.Draft202012Validator(JobRequest.model_json_schema())

    assert faults(id=job_id) == {"/id": "fire_id"}
    assert not validator.is_valid({"task": "t", "id": job_id})


@pytest.mark.parametrize(
    "job_id",
    [
        "nightly:20261125T0230Z",
        "nightly-20261125T023000Z",
        "20261125T023000Z",
        "a:b:20261125T023000Z",
    ],
)
def test_ids_like_those_of_fire_times_are_not(job_id):
    """No schedule has such a job."""
    validator = jsonschema_rs.Draft202012Validator(JobRequest.model_json_schema())

    assert parse({"task": "t", "id": job_id}).id == job_id
    assert validator.is_valid({"task": "t", "id": job_id})
    assert validator.is_valid({"task": "t", "id": None})
    assert name_of(job_id) is None


@pytest.mark.parametrize("levels", [65, 500])
def test_deep_arguments_are_refused(levels):
    """As at every door: no job is so deep that another program could stumble over it."""
    deep: list[Any] = []
    for _ in range(levels - 3):
        deep = [deep]

    with pytest.raises(InvalidSubmission) as caught:
        job(args=[deep])

    assert [fault.code for fault in caught.value.faults] == ["too_deep"]


def test_endless_arguments_are_refused():
    """A list that holds itself has no JSON form."""
    endless: list[Any] = []
    endless.append(endless)

    with pytest.raises(InvalidSubmission):
        job(args=[endless])


def test_of_unknown_fields_only_some_are_named():
    """A body may have a million of them; the other faults are told too."""
    with pytest.raises(InvalidSubmission) as caught:
        parse({**{f"f{n}": 1 for n in range(100_000)}, "task": 7})

    found = [(fault.pointer, fault.code) for fault in caught.value.faults]
    assert (found[0], found[-1], len(found)) == (("/task", "string_type"), ("", "more"), 101)
    assert len(str(caught.value)) < 2_000
    assert str(caught.value).endswith("; and 90 more at least")
