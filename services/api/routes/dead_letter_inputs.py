"""What may be asked of dead letters: which ones, and how they are to be replayed."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.api.http.paging import PageQuery
from taskyard.request import Time, Whole
from taskyard.store.dead_letters import DeadLetterFilter

#: Ids in one request.
MAX_IDS = 1000
_FIELDS = ("queue", "task", "reason", "error_type", "fingerprint")
_ALL_MS = 2**53 - 1

Text = Annotated[str, Field(min_length=1, max_length=255)]


class Wanted(BaseModel):
    """Which dead letters; fields that are not given filter nothing, and all that are must fit."""

    model_config = ConfigDict(extra="forbid", strict=True)

    queue: Text | None = Field(default=None, description="Only those of this queue.")
    task: Text | None = Field(default=None, description="Only those of this task.")
    reason: Text | None = Field(default=None, description="Only those of this reason.")
    error_type: Text | None = Field(default=None, description="Only those of this error_type.")
    fingerprint: Text | None = Field(
        default=None, description="Only those of this fingerprint, as of a group."
    )
    after: Time | None = Field(default=None, description="Died at this time or later.")
    before: Time | None = Field(default=None, description="Died at this time or before.")

    def filter(self, *, jobs_only: bool = False) -> DeadLetterFilter:
        """Return the store's filter."""
        return DeadLetterFilter(
            **{name: getattr(self, name) or "" for name in _FIELDS},
            after_ms=_milliseconds(self.after, 0),
            before_ms=_milliseconds(self.before, _ALL_MS),
            jobs_only=jobs_only,
        )


class LetterQuery(Wanted, PageQuery):
    """A page of the dead letters that fit."""


class Chosen(BaseModel):
    """Dead letters by their ids or by a filter; `{"filter": {}}` means all."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ids: Annotated[list[Text], Field(min_length=1, max_length=MAX_IDS)] | None = None
    filter: Wanted | None = None
    dry_run: bool = Field(default=False, description="Only count what would be taken.")

    @model_validator(mode="after")
    def _ids_or_filter(self) -> "Chosen":
        if (self.ids is None) == (self.filter is None):
            raise ValueError('give either ids or a filter; {"filter": {}} means all')
        return self


class PurgeRequest(Chosen):
    """Dead letters to remove for good."""


class ReplayRequest(Chosen):
    """Dead letters whose jobs are to run again."""

    rate_per_s: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)] | None = Field(
        default=None, description="Jobs a second. Default: as fast as it goes."
    )
    canary: Annotated[int, Field(ge=0, le=1000), Whole] = Field(
        default=0, description="So many first; the others only if all of these complete."
    )
    args: list[Any] | None = Field(default=None, description="New arguments, for a single id.")
    kwargs: dict[str, Any] | None = Field(default=None, description="Likewise.")

    @property
    def has_edit(self) -> bool:
        """Whether the job's arguments are to change."""
        return self.args is not None or self.kwargs is not None

    @model_validator(mode="after")
    def _edit_of_one(self) -> "ReplayRequest":
        if self.has_edit and len(self.ids or ()) != 1:
            raise ValueError("args and kwargs can be changed for a single id only")
        return self


def _milliseconds(moment: datetime | None, default_ms: int) -> int:
    return default_ms if moment is None else max(0, round(moment.timestamp() * 1000))
