"""Who acts, and what actions work with."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from taskyard.catalogue import Catalogue
from taskyard.config import Settings
from taskyard.job import Job
from taskyard.operations.audit_log import ActionName, AuditLog, Entry
from taskyard.store import JobStore
from taskyard.store.jobs import Created, NewJob

if TYPE_CHECKING:  # it brings pydantic along, which most commands do not need
    from taskyard.schedules.repository import ScheduleRepository


#: Records and publishes a job, as `Dispatcher.submit` does; a door may ask for more before.
Submit = Callable[[NewJob], Created]


class Submitted(Struct, frozen=True):
    """A job that an action made, or that was there before."""

    job: NewJob
    created: Created
    #: The trace context of the submission, if there is one.
    traceparent: str | None


class Actor(Struct, frozen=True, kw_only=True):
    """An operator at one door; what they may reach is for that door to check."""

    store: JobStore
    settings: Settings
    catalogue: Catalogue
    audit_log: AuditLog
    #: As the audit log names them.
    who: str
    request_id: str | None = None
    #: Gives jobs by their ids, as `store.look` does.
    read: Callable[[Sequence[str]], Sequence[Job | None]]

    @property
    def schedules(self) -> "ScheduleRepository":
        """What there is to do with schedules."""
        from taskyard.schedules.repository import ScheduleRepository

        return ScheduleRepository(self.store)

    @property
    def ttl_ms(self) -> int:
        """How long records of jobs that end now are kept. Milliseconds."""
        return self.settings.result_ttl * 1000

    def recording(
        self, action: ActionName, target: str = "", *, before: Mapping[str, Any] | None = None
    ) -> AbstractContextManager[Entry]:
        """Have what is done within written down as theirs; see `AuditLog.recording`."""
        return self.audit_log.recording(
            action, target, who=self.who, request_id=self.request_id, before=before
        )
