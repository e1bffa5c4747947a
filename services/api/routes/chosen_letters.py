"""Which dead letters a request means, of those that are within reach of who makes it."""

from collections.abc import Iterator
from typing import Any

from services.api.auth import bindings
from services.api.auth.principal import current
from services.api.context import context
from services.api.routes.dead_letter_inputs import Chosen
from taskyard.dead_letters.selection import by_filter, by_ids
from taskyard.errors import DeadLetterNotFound
from taskyard.operations.audit_log import some_ids
from taskyard.store.dead_letters import DeadLetter


def letter(letter_id: str) -> DeadLetter:
    """Return the dead letter of this id.

    Raises:
        DeadLetterNotFound: If there is none, or it is out of reach.
    """
    (found,) = context().store.dead_letters([letter_id])
    if found is None or not is_authorized(found):
        raise DeadLetterNotFound(letter_id)
    return found


def is_authorized(letter: DeadLetter) -> bool:
    """Return whether the caller's key may access this dead letter."""
    return bindings.is_authorized(letter.task, letter.queue)


def told(asked: Chosen) -> dict[str, Any]:
    """Return which ones were asked for, as the audit log tells it."""
    if asked.ids is not None:
        return some_ids(asked.ids)
    assert asked.filter is not None
    return {"filter": asked.filter.model_dump(mode="json", exclude_none=True)}


def chosen(asked: Chosen, *, jobs_only: bool) -> Iterator[list[tuple[str, int]]]:
    """Give what was chosen in steps: id and time of death.

    Raises:
        InvalidSubmission: If an id is none of a dead letter, or not of a job where it must be.
    """
    store = context().store
    if asked.ids is not None:
        yield by_ids(store, asked.ids, jobs_only=jobs_only, is_reached=is_authorized)
        return
    assert asked.filter is not None
    for step in by_filter(store, asked.filter.filter(jobs_only=jobs_only)):
        authorized = _authorized(step)
        if authorized:
            yield authorized


def _authorized(step: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return those of a step that are within reach."""
    if not current().is_bound:
        return step
    letters = context().store.dead_letters([each for each, _ in step])
    return [
        place
        for place, letter in zip(step, letters, strict=True)
        if letter is not None and is_authorized(letter)
    ]
