"""The records of messages that the store does not know."""

from datetime import datetime

import pytest

from services.worker.attempts.adoption import Adoption
from taskyard.config import Settings
from taskyard.errors import InvalidSubmission
from taskyard.message import Message, Options, decode, encode
from taskyard.task import Task
from taskyard.task_options import TaskOptions
from tests.unit.worker.doubles import delivery


@pytest.mark.parametrize(("own", "expected"), [(2, 2), (None, 9)])
def test_a_job_has_the_priority_that_its_message_says(own, expected):
    """What its delivery had may be what it has risen to by waiting, before the store was emptied."""
    message = Message(
        queue_name="q",
        task="job",
        args=[],
        kwargs={},
        options=Options(priority=own),
        message_id="a",
        message_timestamp=0,
    )
    found = Adoption({}, Settings()).job(delivery(encode(message).encode(), priority=9), message)

    assert (found.priority, decode(found.body).priority) == (expected, expected)


def test_a_message_has_the_id_of_a_fire_time_only_from_a_schedule():
    """Where the record of such a job is lost it is made anew; nobody else takes its id by publishing it."""
    adoption = Adoption({}, Settings())

    def check(origin: str) -> None:
        adoption.check(
            Message(
                queue_name="q",
                task="job",
                args=[],
                kwargs={},
                options=Options(origin=origin),
                message_id="nightly:20261125T023000Z",
                message_timestamp=0,
            )
        )

    check("schedule")
    with pytest.raises(InvalidSubmission) as caught:
        check("amqp")
    assert [(f.pointer, f.code) for f in caught.value.faults] == [("/message_id", "fire_id")]


def test_a_job_from_python_is_taken_as_the_task_converts_it():
    """Its times may have no zone, which the schema of other doors asks for; its record may have been lost."""

    def job(at: datetime) -> None: ...

    adoption = Adoption({"job": Task(job, "job", TaskOptions())}, Settings())

    def check(origin: str) -> None:
        adoption.check(
            Message(
                queue_name="q",
                task="job",
                args=["2026-11-24T10:00:00"],
                kwargs={},
                options=Options(origin=origin),
                message_id="a",
                message_timestamp=0,
            )
        )

    check("python")
    with pytest.raises(InvalidSubmission):
        check("amqp")
