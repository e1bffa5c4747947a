"""How large a reply may be that tells what is wrong with a submission."""

import msgspec

from taskyard.errors import InvalidSubmission, TaskyardError
from taskyard.faults import Fault
from taskyard.submission import refusal

MOST_BYTES = 128 * 1024


def test_a_refusal_of_very_much_is_small_enough_for_rabbitmq():
    """However many faults there are, and however long their texts: the first ones are told."""
    faults = (Fault(f"/args/{n}", "type", "\0" * 200) for n in range(20_000))

    told = refusal(InvalidSubmission(faults))

    assert len(msgspec.json.encode(told)) < MOST_BYTES
    assert (told.errors[0].pointer, told.errors[-1].code) == ("/args/0", "more")


def test_a_refusal_of_one_long_text_is_small_enough_too():
    """It may quote what a stranger wrote."""
    long = InvalidSubmission([Fault("/task", "unknown", "x" * 10_000_000)])

    for error in (long, TaskyardError("x" * 10_000_000)):
        assert len(msgspec.json.encode(refusal(error))) < MOST_BYTES
