"""How large a reply may be that tells what is wrong with a submission."""

import msgspec

from taskyard.errors import Fault, InvalidSubmission, TaskyardError
from taskyard.submission import DETAIL_BYTES, ERRORS_BYTES, partial, refusal

MOST_BYTES = ERRORS_BYTES + 2 * DETAIL_BYTES


def test_a_refusal_of_very_much_is_small_enough_for_rabbitmq():
    """However many faults there are, and however long their texts: the first ones are told."""
    faults = [Fault(f"/args/{n}", "type", "\0" * 200) for n in range(20_000)]

    told = refusal(InvalidSubmission(faults))

    assert len(msgspec.json.encode(told)) < MOST_BYTES
    assert told.errors[0] == faults[0]
    assert told.errors[-1].detail == f"and {20_000 - len(told.errors) + 1} more"


def test_a_refusal_of_one_long_text_is_small_enough_too():
    """It may quote what a stranger wrote."""
    long = InvalidSubmission([Fault("/task", "unknown", "x" * 10_000_000)])

    for error in (long, TaskyardError("x" * 10_000_000)):
        assert len(msgspec.json.encode(refusal(error))) < MOST_BYTES


def test_a_partial_answer_names_all_jobs():
    """Only what is wrong with the others is cut."""
    ids = [f"job-{n}" for n in range(1000)]

    told = partial([*ids], [Fault(f"/{n}", "not_unique", "x" * 1000) for n in range(1000)])

    assert told.ids == ids
    assert len(msgspec.json.encode(told.errors)) < MOST_BYTES
