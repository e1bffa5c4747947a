"""What is wrong with a field of a request, a schedule or a filter: what is accepted, in plain words."""

from typing import Any

import pytest

from services.api.http.filters import JobFilter
from services.api.routes.bulk import CancelRequest
from services.api.routes.controls import LimitsRequest, PauseRequest
from services.api.routes.dead_letters import PurgeRequest
from services.api.routes.listing import ListQuery
from services.api.routes.replays import ReplayRequest
from taskyard.config import load
from taskyard.errors import ConfigurationError, InvalidSubmission
from taskyard.message import Invalid, decode
from taskyard.request import JobRequest, validated
from taskyard.schedules.rule import Schedule
from tests.unit.validation.test_violation_texts import JARGON

NAME = "must be a name of 1 to 100 letters, digits, '_', '.' or '-' that does not begin with '.' or '-'"
ID = "must be an id of 1 to 128 letters, digits, '.', '_', '-' or ':'"
UP_TO = "must be a number from 0 to 3155760000"
ABOVE = "must be a number above 0 and of at most 3155760000"
TIME = "must be a time with a zone like 2026-11-24T10:00:00Z"

FIELDS: list[tuple[Any, str, Any, str]] = [
    (JobRequest, "task", "a b", NAME),
    (JobRequest, "task", 7, NAME),
    (JobRequest, "queue", "-x", NAME),
    (JobRequest, "id", "a b", ID),
    (JobRequest, "args", {}, "must be a list"),
    (JobRequest, "kwargs", [], "must be an object"),
    (JobRequest, "priority", 12, "must be a whole number from 0 to 9"),
    (JobRequest, "priority", "3", "must be a whole number from 0 to 9"),
    (JobRequest, "max_retries", -1, "must be a whole number from 0 to 1000"),
    (JobRequest, "delay_s", "soon", UP_TO),
    (JobRequest, "delay_s", float("inf"), UP_TO),
    (JobRequest, "expires_s", 0, ABOVE),
    (JobRequest, "timeout_s", True, ABOVE),
    (JobRequest, "run_at", 5, TIME),
    (JobRequest, "run_at", "soon", "must be a time like 2026-11-24T10:00:00Z"),
    (JobRequest, "run_at", "2026-11-24T10:00:00", "must have a time zone, such as Z"),
    (JobRequest, "tags", ["x"] * 21, "must be a list of at most 20 texts"),
    (JobRequest, "tags", [""], "must be a text of 1 to 100 characters"),
    (JobRequest, "priorty", 1, "there is no field 'priorty'; did you mean 'priority'?"),
    (Schedule, "name", "a/b", NAME),
    (Schedule, "cron", 5, "must be a text of at most 200 characters"),
    (Schedule, "every_s", 0.1, "must be a number from 1 to 3155760000"),
    (Schedule, "overlap", "x", 'must be one of "allow", "skip", "queue_one", "cancel_previous"'),
    (Schedule, "missed_max", 0, "must be a whole number from 1 to 1000"),
    (Schedule, "jitter_s", -1, "must be a number from 0 to 86400"),
    (Schedule, "is_paused", "no", "must be true or false"),
    (LimitsRequest, "concurrency", "x", "must be a whole number"),
    (PauseRequest, "reason", "x" * 501, "must be a text of at most 500 characters"),
    (ListQuery, "limit", "0", "must be a whole number from 1 to 200"),
    (ListQuery, "order", "x", 'must be one of "created", "run_at"'),
    (JobFilter, "tag", "", "must be a text of 1 to 200 characters"),
    (CancelRequest, "limit", 0, "must be a whole number from 1 to 10000"),
    (CancelRequest, "filter", 7, "must be JobFilter (an object)"),
    (PurgeRequest, "ids", [], "must be a list of 1 to 1000 texts"),
    (ReplayRequest, "canary", 1001, "must be a whole number from 0 to 1000"),
    (ReplayRequest, "rate_per_s", 0, "must be a number above 0 and of at most 100000"),
]


@pytest.mark.parametrize(("model", "field", "value", "text"), FIELDS)
def test_what_a_field_has_to_be_is_told_in_plain_words(model, field, value, text):
    """At every door that takes the model."""
    with pytest.raises(InvalidSubmission) as caught:
        validated(model, {field: value})

    found = [each.detail for each in caught.value.faults if each.pointer.startswith(f"/{field}")]
    assert found == [text]
    assert not JARGON.search(text)


def test_a_field_that_is_missing_is_required():
    """It is told by its place."""
    with pytest.raises(InvalidSubmission) as caught:
        validated(JobRequest, {})

    assert str(caught.value) == "/task: is required"


def test_fields_are_listed_where_none_is_meant():
    """Whoever guesses one has all of them before them."""
    with pytest.raises(InvalidSubmission) as caught:
        validated(PauseRequest, {"x": 1})

    assert str(caught.value) == "/x: there is no field 'x'; there are: reason"


def test_an_id_over_amqp_is_told_of_in_the_same_words():
    """The decoder's own words have its pattern in them."""
    body = (
        b'{"queue_name":"q","actor_name":"a","args":[],"kwargs":{},"options":{},"message_id":"a b"}'
    )
    with pytest.raises(Invalid) as caught:
        decode(body)

    assert str(caught.value) == f"Expected {ID.removeprefix('must be ')} - at `$.message_id`"


def test_a_setting_that_there_is_not_may_be_another():
    """From `taskyard.configure`."""
    with pytest.raises(ConfigurationError) as caught:
        load(brokr_url="x")

    wanted = "BROKR_URL: there is no setting 'brokr_url'; did you mean 'broker_url'"
    assert str(caught.value).startswith(wanted)
