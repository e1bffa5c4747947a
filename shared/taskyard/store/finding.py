"""Finding jobs: filters, and pages of the jobs that fit, each with a cursor to the next."""

from typing import Literal

from msgspec import Struct

from taskyard.job import Job

#: A page ends where it would be larger, but for its first entry: of so many bytes in the store, or as JSON.
PAGE_BYTES = 8 * 1024 * 1024

#: Where a page ended: the place in its order (mostly a time) and the id of the last entry that was looked at.
Cursor = tuple[int, str]

#: `created`: newest first. `run_at`: soonest first, only those that wait for a time.
Order = Literal["created", "run_at"]


class Filter(Struct, frozen=True, kw_only=True):
    """Which jobs: those that fit everything that is set."""

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

    def takes(self, job: "Compared") -> bool:
        """Return whether a job fits."""
        low, high = self.created_after_ms, self.created_before_ms
        return (
            (not self.states or job.state in self.states)
            and self.queue in ("", job.queue)
            and self.task in ("", job.task)
            and (not self.queues or job.queue in self.queues)
            and (not self.tasks or job.task in self.tasks)
            and self.origin in ("", job.origin)
            and (low is None or job.created_at_ms >= low)
            and (high is None or job.created_at_ms < high)
            and (not self.tag or self.tag in job.tags)
            and (not self.error or self.error.casefold() in job.error.casefold())
        )


class Compared(Struct, frozen=True, kw_only=True):
    """What filters go by of a job; the last three are empty where none of them is asked for."""

    state: str
    queue: str
    task: str
    created_at_ms: int
    #: What all of the job takes in the store, about.
    size_bytes: int
    origin: str = ""
    tags: list[str] = []
    #: The latest attempt's, as `Type: message`.
    error: str = ""


class JobPage(Struct, frozen=True, kw_only=True):
    """Some of the jobs. A short or empty page need not be the last: `cursor` goes on, None is the end."""

    jobs: list[Job]
    cursor: Cursor | None


class IdPage(Struct, frozen=True, kw_only=True):
    """The ids of some of the jobs, as `JobPage`."""

    ids: list[str]
    cursor: Cursor | None


class Count(Struct, frozen=True, kw_only=True):
    """How many jobs fit: all of them if it `is_complete`, else at least so many."""

    count: int
    is_complete: bool
