"""The record of a schedule in the store, and the documents that show it and its history."""

from typing import Annotated, Any, TypedDict

import msgspec
from msgspec import Meta, Struct

from taskyard.document_fields import Time, Whole
from taskyard.job import rfc3339
from taskyard.schedules.plan import FireEvent, FireOutcome, ScheduleState, decode_state
from taskyard.schedules.rule import Schedule
from taskyard.store.schedules import StoredSchedule


class ScheduleRecord(Struct, frozen=True, kw_only=True):
    """A schedule as it was read from the store."""

    schedule: Schedule
    state: ScheduleState
    version: int
    revision: int

    @property
    def name(self) -> str:
        """Its name."""
        return self.schedule.name

    @classmethod
    def from_row(cls, row: StoredSchedule) -> "ScheduleRecord":
        """Return the schedule in a row of the store.

        Raises:
            ValueError: If it cannot be read.
        """
        try:
            fields = msgspec.json.decode(row.spec)
            # A later version may have written fields that this one does not know.
            schedule = Schedule.model_validate(
                {name: value for name, value in fields.items() if name in Schedule.model_fields}
            )
        except ValueError as error:
            raise ValueError(f"unreadable schedule {row.name!r}: {error}") from error
        return cls(
            schedule=schedule,
            state=decode_state(row.state),
            version=row.version,
            revision=row.revision,
        )


class ScheduleLinks(TypedDict):
    """Where a schedule and its history are."""

    self: str
    history: str


class Standing(TypedDict):
    """What is shown of a schedule besides its own fields."""

    is_declared: Annotated[bool, Meta(description="Whether a file declares it.")]
    version: Annotated[Whole, Meta(description="Counts its changes; the ETag.")]
    created_at: Time
    updated_at: Time
    next_fire_at: Time | None
    last_fire_at: Time | None
    last_job_id: str | None
    links: ScheduleLinks


class FireEventDocument(TypedDict):
    """What became of a fire time of a schedule."""

    fire_at: Annotated[
        Time, Meta(description="The fire time; of several skipped at once, the first.")
    ]
    until: Annotated[Time | None, Meta(description="Of several skipped at once, the last.")]
    at: Annotated[Time, Meta(description="When this happened.")]
    outcome: FireOutcome
    job_id: str | None
    reason: Annotated[str, Meta(description="Why it did not fire, or waits.")]


def document(row: ScheduleRecord) -> dict[str, Any]:
    """Return the document that shows a schedule: its fields, and where it is."""
    state = row.state
    next_at = None if state.is_paused else state.next_at
    standing: Standing = {
        "is_declared": state.is_declared,
        "version": row.version,
        "created_at": rfc3339(state.created_at),
        "updated_at": rfc3339(state.updated_at),
        "next_fire_at": rfc3339(next_at),
        "last_fire_at": rfc3339(state.last_fire),
        "last_job_id": state.last_job,
        "links": {
            "self": f"/v1/schedules/{row.name}",
            "history": f"/v1/schedules/{row.name}/history",
        },
    }
    return {**row.schedule.model_dump(mode="json"), "is_paused": state.is_paused, **standing}


def event_document(event: FireEvent) -> FireEventDocument:
    """Return the document that shows an entry of a schedule's history."""
    return {
        "fire_at": rfc3339(event.fire_at),
        "until": rfc3339(event.until),
        "at": rfc3339(event.at),
        "outcome": event.outcome,
        "job_id": event.job_id,
        "reason": event.reason,
    }
