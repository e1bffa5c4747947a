"""A job's form on the wire."""

import json
from typing import Any

import pytest

from taskyard.message import (
    MAX_SECONDS,
    Invalid,
    Message,
    Options,
    Undecodable,
    complete,
    decode,
    encode,
    for_attempt,
    new_id,
)

ENVELOPE: dict[str, Any] = {
    "queue_name": "default",
    "actor_name": "add",
    "args": [1],
    "kwargs": {"b": 2},
    "options": {},
    "message_id": "a",
    "message_timestamp": 1,
}


def body(**fields: Any) -> bytes:
    return json.dumps({**ENVELOPE, **fields}).encode()


def test_a_stock_dramatiq_message_can_be_read():
    """The envelope with its seven fields, and options that are not ours."""
    dramatiq = pytest.importorskip("dramatiq")
    stock = dramatiq.Message("default", "add", (1,), {"b": 2}, {"pipe_target": None})

    message = decode(stock.encode())

    assert (message.task, message.args, message.kwargs) == ("add", [1], {"b": 2})
    assert (stock.message_id, stock.message_timestamp) == (
        message.message_id,
        message.message_timestamp,
    )


def test_what_was_encoded_is_decoded():
    """Every field comes back."""
    options = Options(attempt=2, priority=9, max_retries=1, timeout_s=1.5, tags=["x"], origin="api")
    fields = {**ENVELOPE, "options": options}
    fields["task"] = fields.pop("actor_name")
    message = Message(**fields)

    assert decode(encode(message)) == message


def test_the_wire_calls_the_task_by_dramatiqs_name():
    """In what is written, and in the errors of what is read."""
    fields = {**ENVELOPE, "options": Options()}
    fields["task"] = fields.pop("actor_name")

    assert json.loads(encode(Message(**fields)))["actor_name"] == "add"
    with pytest.raises(Invalid, match=r"`\$\.actor_name`"):
        decode(body(actor_name=1))


@pytest.mark.parametrize(
    "broken",
    [b"", b"{", b"\xff\xfe", b"\x00", b'{"a": NaN}', b'"\\ud800"'],
)
def test_what_is_not_json_is_undecodable(broken):
    """Whatever is found in a queue."""
    with pytest.raises(Undecodable):
        decode(broken)


def test_json_that_is_too_deep_to_be_read_is_invalid():
    """As what is less deep, and more than a job may be."""
    with pytest.raises(Invalid, match="recursion"):
        decode(b'{"args":' + b"[" * 100_000)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"message_id": ""}, "message_id"),
        ({"message_id": "a b"}, "message_id"),
        ({"message_id": "a\n"}, "message_id"),
        ({"message_id": "a" * 129}, "message_id"),
        ({"message_id": 1}, "message_id"),
        ({"args": {}}, "args"),
        ({"kwargs": None}, "kwargs"),
        ({"message_timestamp": 10**25}, "message_timestamp"),
        ({"options": {"attempt": 0}}, "attempt"),
        ({"options": {"attempt": 10**18}}, "attempt"),
        ({"options": {"max_retries": 10**18}}, "max_retries"),
        ({"options": {"max_age": 1e300}}, "max_age"),
        ({"options": {"time_limit": 1e300}}, "time_limit"),
        ({"options": {"priority": 10}}, "priority"),
        ({"options": {"priority": True}}, "priority"),
        ({"options": {"max_retries": -1}}, "max_retries"),
        ({"options": {"timeout_s": 0}}, "timeout_s"),
        ({"options": {"timeout_s": MAX_SECONDS + 1}}, "timeout_s"),
        ({"options": None}, "options"),
        ({"message_timestamp": "now"}, "message_timestamp"),
    ],
)
def test_an_invalid_field_is_named(fields, named):
    """So that its publisher can mend it."""
    with pytest.raises(Invalid, match=named):
        decode(body(**fields))


@pytest.mark.parametrize("field", ENVELOPE)
def test_a_missing_field_is_named(field):
    """All seven are needed."""
    envelope = {name: value for name, value in ENVELOPE.items() if name != field}

    with pytest.raises(Invalid, match=field):
        decode(json.dumps(envelope))


@pytest.mark.parametrize("value", ["1", "[]", "null", '"text"'])
def test_json_that_is_no_object_is_invalid(value):
    """A message is an object."""
    with pytest.raises(Invalid):
        decode(value)


@pytest.mark.parametrize(
    ("options", "priority"),
    [
        ({}, 5),
        ({"priority": 0}, 0),
        ({"broker_priority": 3}, 3),
        ({"broker_priority": 255}, 9),
        ({"broker_priority": -1}, 0),
        ({"priority": 1, "broker_priority": 3}, 1),
    ],
)
def test_the_priority_is_one_scale(options, priority):
    """Ours goes before Dramatiq's own; either is within 0 to 9."""
    assert decode(body(options=options)).priority == priority


@pytest.mark.parametrize(
    ("options", "timeout_s", "expires_s"),
    [
        ({}, None, None),
        ({"timeout_s": 2, "expires_s": 3}, 2, 3),
        ({"time_limit": 2500, "max_age": 3500}, 2.5, 3.5),
        ({"timeout_s": 2, "time_limit": 1, "expires_s": 3, "max_age": 1}, 2, 3),
    ],
)
def test_dramatiqs_milliseconds_are_honoured(options, timeout_s, expires_s):
    """Ours are seconds, and go first."""
    message = decode(body(options=options))

    assert (message.timeout_s, message.expires_s) == (timeout_s, expires_s)


def test_the_next_attempts_message_differs_in_its_number_only():
    """The first attempt's is the very text."""
    first = body(extra=[1.5, None], options={"custom": {"x": 1}}).decode()

    assert first is for_attempt(first, 1)
    second = json.loads(for_attempt(first, 2))
    assert second["options"].pop("attempt") == 2
    assert json.loads(first) == second


def test_complete_adds_what_is_missing():
    """And leaves what is there."""
    made = json.loads(
        complete(body(options={"priority": 1, "tags": None}), {"priority": 5, "max_retries": 3})
    )

    assert (made["options"]["priority"], made["options"]["max_retries"]) == (1, 3)


def test_ids_sort_by_time():
    """And none comes twice."""
    ids = [new_id() for _ in range(1000)]

    assert len(set(ids)) == 1000
    assert ids[0][:8] <= ids[-1][:8]
