"""Trace contexts of W3C: what is one, and which trace a job is in without one."""

import pytest

from taskyard.message import Invalid, decode
from taskyard.telemetry import trace_context

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize("flags", ["00", "01", "03"])
def test_a_good_one_is_kept(flags):
    """With its flags."""
    assert trace_context.valid(f"00-{TRACE}-{SPAN}-{flags}") == f"00-{TRACE}-{SPAN}-{flags}"


@pytest.mark.parametrize("more", ["", "-", "-what-the-future-brings"])
def test_a_later_version_is_read_as_far_as_it_is_known(more):
    """And goes on in our version, as W3C asks for."""
    assert trace_context.valid(f"cc-{TRACE}-{SPAN}-01{more}") == GOOD


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        b"bytes",
        "",
        "nonsense",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01\n00",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"00-{TRACE[:-1]}-{SPAN}-01",
    ],
)
def test_anything_else_is_none(text):
    """Never an error."""
    assert trace_context.valid(text) is None


def test_a_job_is_in_its_traceparent_s_trace():
    """Whatever its id is."""
    assert trace_context.trace_id(GOOD, "job") == TRACE


def test_a_job_without_one_has_a_trace_that_follows_from_its_id():
    """The same each time, another for another job, and a trace id of W3C."""
    first, again, other = (trace_context.trace_id(None, name) for name in ("job", "job", "joc"))

    assert first == again != other
    assert trace_context.valid(f"00-{first}-{SPAN}-01") == f"00-{first}-{SPAN}-01"


@pytest.mark.parametrize("given", ["7", "[1]", '{"a": 1}', '"nonsense"', "null"])
def test_a_message_is_not_refused_for_it(given):
    """Of whatever type it is; the fields that matter still are checked."""
    body = (
        '{"queue_name": "q", "actor_name": "t", "args": [], "kwargs": {}, "message_id": "job",'
        ' "message_timestamp": 1, "options": {"traceparent": %s%s}}'
    )

    message = decode(body % (given, ""))

    assert (None, trace_context.trace_id(None, "job")) == (message.traceparent, message.trace_id)
    with pytest.raises(Invalid):
        decode(body % (given, ', "attempt": 0'))
