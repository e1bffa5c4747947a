"""Limits by queue, as a setting gives them."""

import pytest

from taskyard import config
from taskyard.errors import ConfigurationError
from taskyard.runtime import per_queue


def test_a_queue_may_have_a_limit_of_its_own():
    """All others have the one without a name."""
    limits = per_queue.parse("100, emails=5,reports=0")

    assert tuple(limits.of(queue) for queue in ("x", "emails", "reports")) == (100, 5, 0)


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "=5", "emails=", "emails=x"])
def test_bad_limits_are_refused(text):
    """With the part that is wrong."""
    with pytest.raises(ConfigurationError, match="DEAD_LETTER_TTL"):
        config.load(dead_letter_ttl=text)


def test_no_queue_may_keep_none():
    """A dead letter must not vanish as it comes."""
    with pytest.raises(ConfigurationError, match="must be 1 or more"):
        config.load(dead_letter_max="100,emails=0")
