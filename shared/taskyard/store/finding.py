"""Finding jobs: what may be asked for, and pages of the answer with a cursor that goes on."""

import base64
import binascii
from typing import Literal, NamedTuple, Protocol

import msgspec
from msgspec import Struct

from taskyard.errors import TaskyardError
from taskyard.job import Job

#: `created`: newest first. `run_at`: soonest first, only those that wait for a time.
Order = Literal["created", "run_at"]


class InvalidCursor(TaskyardError):
    """The cursor is none that `find` has given, or is of another order."""

    code = "invalid"

    def __init__(self) -> None:
        super().__init__("cursor: must be one that an answer to the same question has given")


class Filter(Struct, frozen=True, kw_only=True):
    """Which jobs are meant: those that fit everything that is set."""

    states: tuple[str, ...] = ()
    queue: str = ""
    task: str = ""
    #: In one of these queues, of one of these tasks; none named: in whichever.
    queues: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    tag: str = ""
    origin: str = ""
    #: A part of the type or message of the latest attempt's error, in whatever case.
    error: str = ""
    #: Submitted at this time or later, and before that one: milliseconds since 1970.
    created_after_ms: int | None = None
    created_before_ms: int | None = None

    @property
    def is_deep(self) -> bool:
        """Whether a job's message or error has to be read to tell whether it fits."""
        return bool(self.tag or self.origin or self.error)

    def takes(self, job: Job) -> bool:
        """Return whether `job` fits."""
        options = job.message.options
        low, high = self.created_after_ms, self.created_before_ms
        return (
            (not self.states or job.state in self.states)
            and self.queue in ("", job.queue)
            and self.task in ("", job.message.actor_name)
            and (not self.queues or job.queue in self.queues)
            and (not self.tasks or job.message.actor_name in self.tasks)
            and self.origin in ("", options.origin)
            and (low is None or job.created_at >= low)
            and (high is None or job.created_at < high)
            and (not self.tag or self.tag in options.tags)
            and (not self.error or self.error.casefold() in _error_text(job).casefold())
        )


class Page(Struct, frozen=True, kw_only=True):
    """Some of the jobs. A short or empty page need not be the last: `cursor` goes on, None is the end."""

    jobs: list[Job]
    cursor: str | None


class Count(Struct, frozen=True, kw_only=True):
    """How many jobs fit: all of them if it `is_complete`, else at least so many."""

    count: int
    is_complete: bool


class Position(NamedTuple):
    """The last job that was looked at: its place in the index, and its id."""

    score: int
    id: str

    def cursor(self, order: Order) -> str:
        """Return it as a text that means nothing to its reader."""
        text = msgspec.json.encode((order, self.score, self.id))
        return base64.urlsafe_b64encode(text).decode().rstrip("=")

    @classmethod
    def of(cls, cursor: str, order: Order) -> "Position":
        """Return the position in `cursor`.

        Raises:
            InvalidCursor: If there is none, or it is of another order.
        """
        try:
            text = base64.b64decode(
                cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True
            )
            its_order, score, job_id = msgspec.json.decode(text, type=tuple[str, int, str])
        except (binascii.Error, ValueError, UnicodeError):
            raise InvalidCursor from None
        if its_order != order:
            raise InvalidCursor
        return cls(score, job_id)


class FindingStore(Protocol):
    """Jobs by what they are; work and memory of each call are bounded."""

    def find(
        self,
        wanted: Filter,
        *,
        cursor: str | None = None,
        limit: int = 50,
        order: Order = "created",
    ) -> Page:
        """Return the next jobs that fit, at most `limit`.

        Those that are submitted meanwhile do not shift the pages: none is given twice and none left out.

        Raises:
            InvalidCursor: If `cursor` is none that `find` has given for this order.
        """

    def count(self, wanted: Filter) -> Count:
        """Return how many jobs fit, as far as a bounded look tells."""


def _error_text(job: Job) -> str:
    error = job.attempts[-1].error if job.attempts else None
    return f"{error.type}: {error.message}" if error else ""
