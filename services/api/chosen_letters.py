"""Which dead letters a request means, of those that are within reach of who makes it."""

from collections.abc import Iterator
from typing import Any

from services.api import reach
from services.api.dead_letter_inputs import Chosen
from services.api.parts import parts
from services.api.principal import current
from taskyard.audit_log import some_ids
from taskyard.errors import DeadLetterNotFound, Fault, InvalidSubmission
from taskyard.store.dead_letters import Cursor, DeadLetter, DeadLetterFilter

#: Dead letters of one step of a purge, or of a snapshot for a replay.
STEP = 500


def letter(letter_id: str) -> DeadLetter:
    """Return the dead letter of this id.

    Raises:
        DeadLetterNotFound: If there is none, or it is out of reach.
    """
    (found,) = parts().store.dead_letters([letter_id])
    if found is None or not is_reached(found):
        raise DeadLetterNotFound(letter_id)
    return found


def is_reached(letter: DeadLetter) -> bool:
    """Return whether it is within reach."""
    return reach.reaches(letter.task, letter.queue)


def told(asked: Chosen) -> dict[str, Any]:
    """Return which ones were asked for, as the audit log tells it."""
    if asked.ids is not None:
        return some_ids(asked.ids)
    assert asked.filter is not None
    return {"filter": asked.filter.model_dump(mode="json", exclude_none=True)}


def page(
    wanted: DeadLetterFilter, limit: int, cursor: Cursor | None
) -> tuple[list[tuple[str, int]], Cursor | None]:
    """Return a page that is full if there is enough: a search gives up after so many that do not fit."""
    found, cursor = parts().store.find_dead(wanted, limit, cursor)
    while cursor is not None and len(found) < limit:
        more, cursor = parts().store.find_dead(wanted, limit - len(found), cursor)
        found += more
    return found, cursor


def chosen(asked: Chosen, *, jobs_only: bool) -> Iterator[list[tuple[str, int]]]:
    """Give what was chosen in steps: id and time of death.

    Raises:
        InvalidSubmission: If an id is none of a dead letter, or not of a job where it must be.
    """
    if asked.ids is not None:
        yield _by_ids(list(dict.fromkeys(asked.ids)), jobs_only=jobs_only)
        return
    assert asked.filter is not None
    cursor: Cursor | None = None
    while True:
        step, cursor = page(asked.filter.filter(jobs_only=jobs_only), STEP, cursor)
        step = _reached(step)
        if step:
            yield step
        if cursor is None:
            return


def _reached(step: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return those of a step that are within reach."""
    if not current().is_bound:
        return step
    letters = parts().store.dead_letters([each for each, _ in step])
    return [
        place
        for place, letter in zip(step, letters, strict=True)
        if letter is not None and is_reached(letter)
    ]


def _by_ids(ids: list[str], *, jobs_only: bool) -> list[tuple[str, int]]:
    letters = parts().store.dead_letters(ids)
    faults = []
    for place, (each, letter) in enumerate(zip(ids, letters, strict=True)):
        if letter is None or not is_reached(letter):
            faults.append(Fault(f"/ids/{place}", "not_found", f"no dead letter {each!r}"))
        elif jobs_only and not letter.is_job:
            text = f"{each!r} never was a job: resubmit it, corrected"
            faults.append(Fault(f"/ids/{place}", "not_a_job", text))
    if faults:
        raise InvalidSubmission(faults)
    return [(letter.id, letter.failed_at_ms) for letter in letters if letter is not None]
