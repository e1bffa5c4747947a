"""The records of messages that the store does not know."""

import pytest

from services.worker.adoption import Adoption
from taskyard.config import Settings
from taskyard.message import Message, Options, decode, encode
from tests.unit.worker_doubles import delivery


@pytest.mark.parametrize(("own", "expected"), [(2, 2), (None, 9)])
def test_a_job_has_the_priority_that_its_message_says(own, expected):
    """What its delivery had may be what it has risen to by waiting, before the store was emptied."""
    message = Message(
        queue_name="q",
        actor_name="job",
        args=[],
        kwargs={},
        options=Options(priority=own),
        message_id="a",
        message_timestamp=0,
    )
    found = Adoption({}, Settings()).job(delivery(encode(message).encode(), priority=9), message)

    assert (found.priority, decode(found.body).priority) == (expected, expected)
