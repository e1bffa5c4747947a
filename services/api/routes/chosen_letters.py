"""Which dead letters a request means, of those that are within reach of who makes it."""

from collections.abc import Iterator

from services.api.auth import bindings
from services.api.auth.principal import current
from services.api.context import context
from services.api.routes.dead_letter_inputs import Chosen, Wanted
from taskyard.dead_letters.selection import by_filter, by_ids
from taskyard.errors import DeadLetterNotFound
from taskyard.store.dead_letters import DeadLetter, DeadLetterFilter


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


def wanted(asked: Chosen, *, jobs_only: bool = False) -> DeadLetterFilter:
    """Return the filter of a request; where it has ids, one that all fit."""
    return (asked.filter or Wanted()).filter(jobs_only=jobs_only)


def chosen(asked: Chosen, *, jobs_only: bool) -> Iterator[list[tuple[str, int]]]:
    """Give what was chosen in steps: id and time of death.

    Raises:
        InvalidSubmission: If an id is none of a dead letter, or not of a job where it must be.
    """
    store = context().store
    if asked.ids is not None:
        yield by_ids(store, asked.ids, jobs_only=jobs_only, is_reached=is_authorized)
        return
    for step in by_filter(store, wanted(asked, jobs_only=jobs_only)):
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
