"""The filter of jobs: the same fields in a query and in a body."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.api.auth import bindings
from taskyard.request import Name, Time
from taskyard.store.finding import Filter

StateName = Literal[
    "scheduled", "pending", "running", "retrying", "completed", "failed", "cancelled", "expired"
]
#: Names of states in a filter: more than there are, as one may come twice.
MAX_STATES = 20
Text = Annotated[str, Field(min_length=1, max_length=200)]


class JobFilter(BaseModel):
    """Which jobs: those that fit all of it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    state: list[StateName] = Field(
        default=[],
        max_length=MAX_STATES,
        description="In one of these states.",
        examples=[["failed"]],
    )
    queue: Name | None = Field(default=None, description="In this queue.")
    task: Name | None = Field(default=None, description="Of this task.")
    tag: Text | None = Field(default=None, description="With this tag.")
    origin: Text | None = Field(default=None, description="That came through this door.")
    created_after: Time | None = Field(
        default=None, description="Submitted at this time or later (RFC 3339)."
    )
    created_before: Time | None = Field(
        default=None, description="Submitted before this time (RFC 3339)."
    )
    error: Text | None = Field(
        default=None, description="A part of the latest error's type or message, in any case."
    )

    @property
    def is_empty(self) -> bool:
        """Whether all jobs fit."""
        return self._filter() == Filter()

    def store_filter(self) -> Filter:
        """Return the store's filter, for those of the jobs that the caller's key may access."""
        return bindings.narrow(self._filter())

    def _filter(self) -> Filter:
        return Filter(
            states=tuple(dict.fromkeys(self.state)),
            queue=self.queue or "",
            task=self.task or "",
            tag=self.tag or "",
            origin=self.origin or "",
            error=self.error or "",
            created_after_ms=_ms(self.created_after),
            created_before_ms=_ms(self.created_before),
        )


def _ms(time: Any) -> int | None:
    return None if time is None else round(time.timestamp() * 1000)
