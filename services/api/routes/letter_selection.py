"""Which dead letters a request selects: by ids or a filter, of those that the caller's key may access."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.api.auth import bindings
from services.api.auth.principal import current
from services.api.context import context
from taskyard.dead_letters.selection import by_filter, by_ids
from taskyard.errors import DeadLetterNotFound
from taskyard.request import Time
from taskyard.store.dead_letters import DeadLetter, DeadLetterFilter

#: Ids in one request.
MAX_IDS = 1000
_FIELDS = ("queue", "task", "reason", "error_type", "fingerprint")
_ALL_MS = 2**53 - 1

Text = Annotated[str, Field(min_length=1, max_length=255)]


class LetterFilter(BaseModel):
    """Which dead letters; fields that are not given filter nothing, and all that are must fit."""

    model_config = ConfigDict(extra="forbid", strict=True)

    queue: Text | None = Field(default=None, description="Only those of this queue.")
    task: Text | None = Field(default=None, description="Only those of this task.")
    reason: Text | None = Field(default=None, description="Only those of this reason.")
    error_type: Text | None = Field(default=None, description="Only those of this error_type.")
    fingerprint: Text | None = Field(
        default=None, description="Only those of this fingerprint, as of a group."
    )
    after: Time | None = Field(default=None, description="Failed at this time or later.")
    before: Time | None = Field(default=None, description="Failed at this time or before.")

    def filter(self, *, jobs_only: bool = False) -> DeadLetterFilter:
        """Return the store's filter."""
        return DeadLetterFilter(
            **{name: getattr(self, name) or "" for name in _FIELDS},
            after_ms=_milliseconds(self.after, 0),
            before_ms=_milliseconds(self.before, _ALL_MS),
            jobs_only=jobs_only,
        )


class Selection(BaseModel):
    """Dead letters by their ids or by a filter; `{"filter": {}}` means all."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ids: Annotated[list[Text], Field(min_length=1, max_length=MAX_IDS)] | None = None
    filter: LetterFilter | None = None
    dry_run: bool = Field(default=False, description="Only count what would be taken.")

    @model_validator(mode="after")
    def _ids_or_filter(self) -> "Selection":
        if (self.ids is None) == (self.filter is None):
            raise ValueError('give either ids or a filter; {"filter": {}} means all')
        return self


def _milliseconds(moment: datetime | None, default_ms: int) -> int:
    return default_ms if moment is None else max(0, round(moment.timestamp() * 1000))


def letter(letter_id: str) -> DeadLetter:
    """Return the dead letter of this id.

    Raises:
        DeadLetterNotFound: If there is none, or the caller's key may not access it.
    """
    (found,) = context().store.dead_letters([letter_id])
    if found is None or not is_authorized(found):
        raise DeadLetterNotFound(letter_id)
    return found


def is_authorized(letter: DeadLetter) -> bool:
    """Return whether the caller's key may access this dead letter."""
    return bindings.is_authorized(letter.task, letter.queue)


def store_filter(request: Selection, *, jobs_only: bool = False) -> DeadLetterFilter:
    """Return the store's filter of a request; where it has ids, one that all fit."""
    return (request.filter or LetterFilter()).filter(jobs_only=jobs_only)


def selected(request: Selection, *, jobs_only: bool) -> Iterator[list[tuple[str, int]]]:
    """Give the selected dead letters in steps: id, and time of death in milliseconds since 1970.

    Raises:
        InvalidSubmission: If an id is none of a dead letter, or not of a job where it must be.
    """
    store = context().store
    if request.ids is not None:
        yield by_ids(store, request.ids, jobs_only=jobs_only, is_reached=is_authorized)
        return
    for step in by_filter(store, store_filter(request, jobs_only=jobs_only)):
        authorized = _authorized(step)
        if authorized:
            yield authorized


def _authorized(step: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return those of a step that the caller's key may access."""
    if not current().is_bound:
        return step
    letters = context().store.dead_letters([each for each, _ in step])
    return [
        place
        for place, letter in zip(step, letters, strict=True)
        if letter is not None and is_authorized(letter)
    ]
