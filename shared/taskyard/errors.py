"""Every error that taskyard raises, each with a stable `code` and a text that says what to do."""

from collections.abc import Iterable, Sequence

from taskyard.faults import Fault, bounded, summary
from taskyard.runtime.short_text import cut

#: Longest text of an error that a caller is given, as JSON. Bytes.
MAX_TEXT_BYTES = 10_000


class TaskyardError(Exception):
    """The root of taskyard's errors."""

    code = "error"
    #: Of jobs that could not all be handed over, those that stay all the same: they had begun by then, had
    #: replaced others, or another caller asked for them too.
    taken: Sequence[str] = ()


class ConfigurationError(TaskyardError):
    """The environment holds values that cannot be used; the text names all of them."""

    code = "configuration"


class InvalidSubmission(TaskyardError):
    """A submission cannot become a job; `faults` has what is wrong with it, as `bounded` does."""

    code = "invalid"

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults: Sequence[Fault] = tuple(bounded(faults))
        super().__init__(summary(self.faults))

    def at(self, pointer: str) -> list[Fault]:
        """Return the faults of what is at `pointer` of something larger."""
        return [Fault(f"{pointer}{each.pointer}", each.code, each.detail) for each in self.faults]


def public_text(error: Exception) -> str:
    """Return the text of an error for a caller: cut, as there may be input in it."""
    return cut(str(error), MAX_TEXT_BYTES)


def loggable_text(error: Exception) -> str:
    """Return the text of an error for logs: of a submission only the codes of its faults, no arguments."""
    if isinstance(error, InvalidSubmission):
        return f"{error.code}: {', '.join(sorted({fault.code for fault in error.faults}))}"
    return str(error)


class JobNotFound(TaskyardError):
    """No job has this id."""

    code = "not_found"

    def __init__(self, job_id: str, *, store_label: str = "") -> None:
        at = f" at {store_label}" if store_label else ""
        super().__init__(
            f"no job {job_id!r}{at}: it was never submitted, or its record has expired"
        )
        self.job_id = job_id


class NotFound(TaskyardError):
    """There is no task, queue or other thing of this name."""

    code = "not_found"

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"no {kind} {name!r}")


class DeadLetterNotFound(TaskyardError):
    """No dead letter has this id."""

    code = "not_found"

    def __init__(self, letter_id: str) -> None:
        super().__init__(
            f"no dead letter {letter_id!r}: it was replayed or purged, or never was one"
        )
        self.letter_id = letter_id


class ReplayNotFound(TaskyardError):
    """No replay has this id."""

    code = "not_found"

    def __init__(self, replay_id: str) -> None:
        super().__init__(f"no replay {replay_id!r}: there was none, or it ended over 30 days ago")
        self.replay_id = replay_id


class TooLate(TaskyardError):
    """The job is already in a state that this request cannot change."""

    code = "too_late"

    def __init__(self, job_id: str, state: str) -> None:
        super().__init__(f"job {job_id!r} is already {state}")
        self.job_id = job_id
        self.state = state


class NotUnique(TaskyardError):
    """The task's jobs are unique, and one like this has not ended yet."""

    code = "not_unique"

    def __init__(self, task: str, holder: str) -> None:
        super().__init__(f"a job of {task!r} like this one has not ended yet: {holder}")
        self.holder = holder


class InTheWay(TaskyardError):
    """A job out of the caller's reach has the requested id, or the lock.

    The text is always the same: it tells neither which of the two it is, nor anything of that job.
    """

    code = "conflict"

    def __init__(self) -> None:
        super().__init__("a job out of reach is in the way: it has this id, or is like this one")


class KeyReused(TaskyardError):
    """The key of a request came with another body before."""

    code = "idempotency_key_reused"

    def __init__(self, key: str) -> None:
        super().__init__(f"the Idempotency-Key {key!r} was used with another body; take a new one")


class TooEarly(TaskyardError):
    """The job has not ended, or a message of it may still come: its record cannot be removed."""

    code = "too_early"

    def __init__(self, job_id: str, state: str) -> None:
        how = "but a message of it may still come; try again when a worker has taken that"
        if state in ("pending", "scheduled", "running", "retrying"):
            how = "cancel it, or wait until it has ended"
        super().__init__(f"job {job_id!r} is {state}: {how}")
        self.job_id = job_id
        self.state = state


class ScheduleNotFound(TaskyardError):
    """No schedule has this name."""

    code = "not_found"

    def __init__(self, name: str) -> None:
        super().__init__(f"no schedule {name!r}; GET /v1/schedules lists what there is")
        self.name = name


class ScheduleExists(TaskyardError):
    """A schedule of this name is there already."""

    code = "exists"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is a schedule {name!r} already; PUT replaces it")
        self.name = name


class ScheduleDeclared(TaskyardError):
    """The schedule is declared in a file, and can be changed only there."""

    code = "declared"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"schedule {name!r} is declared in the schedulers' SCHEDULES_FILE: change it there; "
            "pause, resume and trigger are possible"
        )
        self.name = name


class VersionMismatch(TaskyardError):
    """What was to be changed is not in the version that the caller knows."""

    code = "version_mismatch"

    def __init__(self, name: str, version: int | None) -> None:
        now = "there is none" if version is None else f"it is in version {version}"
        super().__init__(f"the condition does not hold for schedule {name!r}: {now}; read it again")
        self.name = name


class Unavailable(TaskyardError):
    """A server that is needed did not answer within its deadline; trying again may help."""

    code = "unavailable"
    retry_after_s = 5


class StoreUnavailable(Unavailable):
    """The state store is away, or did not answer in time."""

    code = "store_unavailable"


class StoreFault(TaskyardError):
    """The store failed at what one call is about, such as a damaged record: others may go well."""

    code = "store_fault"


class Unstorable(TaskyardError):
    """The store has no form for what it was given, such as a number that is too large."""

    code = "unstorable"


class BrokerUnavailable(Unavailable):
    """RabbitMQ is away, blocked by an alarm, or did not confirm in time."""

    code = "broker_unavailable"


class Unpublishable(TaskyardError, ValueError):
    """A message has no form in AMQP: a text in it is too long, or a header of no kind that AMQP has."""

    code = "unpublishable"


class MessageTooLarge(Unpublishable):
    """A message is larger than RabbitMQ is configured to take: it never will, until that is changed."""

    code = "message_too_large"


class QueueMismatch(TaskyardError):
    """A queue exists with other arguments than taskyard declares."""

    code = "queue_mismatch"


class QueueInUse(TaskyardError):
    """A queue cannot be moved: others read it, or publish to it."""

    code = "queue_in_use"


class JobFailed(TaskyardError):
    """The awaited job ended without a result: it failed, or was cancelled or expired."""

    code = "job_failed"

    def __init__(self, job_id: str, state: str, error: "dict[str, str] | None") -> None:
        detail = f": {error['type']}: {error['message']}" if error else ""
        how = "was cancelled" if state == "cancelled" else state
        super().__init__(f"job {job_id!r} {how}{detail}")
        self.job_id = job_id
        self.state = state
        self.error = error


class Retry(TaskyardError):
    """Raised by a task to be run again after `delay_s` seconds; uses up one of its retries.

    Args:
        message: Why, shown on the job.
        delay_s: Seconds to wait; None means the task's usual backoff.
    """

    code = "retry"

    def __init__(
        self, message: str = "the task asked to be retried", *, delay_s: float | None = None
    ) -> None:
        if delay_s is not None and delay_s < 0:
            raise ValueError(f"delay_s must be 0 or more, got {delay_s}")
        super().__init__(message)
        self.delay_s = delay_s


class JobInterrupt(BaseException):
    """Raised inside a running task from outside; a `BaseException`, so `except Exception` lets it pass."""


class JobCancelled(JobInterrupt):
    """Someone asked for this job to be cancelled."""


class JobTimeout(JobInterrupt):
    """The task ran longer than its `timeout_s`."""


class JobLost(JobInterrupt):
    """This worker's lease on the job ended: another attempt may run, this one's outcome is void."""


class WorkerStopping(JobInterrupt):
    """The worker stops and its grace is over: the job is handed back and runs again elsewhere."""
