"""Attempts: how the store lets them start, whose lease holds them, and how they end."""

from typing import Literal

from msgspec import Struct

VerdictKind = Literal[
    "run",
    "duplicate",
    "leased",
    "cancelled",
    "expired",
    "parked",
    "limited",
    "held",
    "paused",
    "unknown",
    "fault",
    "gone",
]


class Claim(Struct, frozen=True, array_like=True):
    """One message that asks to start its attempt."""

    id: str
    attempt: int
    #: The queue that the message was read from.
    queue: str
    #: Milliseconds after its submission past which it may not start; 0: never expires.
    expires_ms: int = 0
    #: The task is not known here: instead of running, wait this long … 0: it is known.
    park_delay_ms: int = 0
    #: … unless the job has waited for a worker that knows it for this long: then run (to fail it).
    park_ttl_ms: int = 0
    #: The task, and the value of the argument that its limits go by: with them, limits and pauses hold.
    task: str = ""
    limit_key: str = ""
    priority: int = 5
    #: It is to run alone in its process: only so may a suspect start.
    is_alone: bool = False
    #: The attempt runs here already: this message starts nothing, and is `leased`.
    is_surplus: bool = False


class Verdict(Struct, frozen=True, array_like=True):
    """The answer to a claim: `run` starts the attempt, `fault` means that the job's record is damaged.

    `gone`: the owner has ended, and its messages come again by themselves.
    On every other, the message is settled.
    """

    kind: VerdictKind
    #: Fencing token of the attempt, with `run`.
    token: int = 0
    #: Attempts of this job that ended with a lost worker, whether or not it was blamed for that.
    crashes: int = 0
    #: When the job became ready, and now: milliseconds since 1970, with `run`.
    ready_at_ms: int = 0
    started_at_ms: int = 0
    #: When an attempt first failed, or 0.
    first_failed_at_ms: int = 0


OutcomeKind = Literal["completed", "failed", "cancelled", "retrying", "released"]


class Outcome(Struct, frozen=True, array_like=True):
    """How one attempt ended. `released` hands it back without using up an attempt."""

    id: str
    token: int
    kind: OutcomeKind
    #: JSON of the result, with `completed`.
    result: str = ""
    #: JSON of a `JobError`, or empty.
    error: str = ""
    #: Wait before the next attempt, with `retrying`.
    delay_ms: int = 0
    #: How long the record is kept, with terminal kinds. A retry that ends because someone wants the job
    #: cancelled is kept for the store's own `RESULT_TTL`.
    ttl_ms: int = 0
    #: The worker was lost: counted as a crash.
    is_crash: bool = False
    #: JSON of the last `Progress`, or empty.
    progress: str = ""
    #: Number of the attempt that has ended; with it an attempt is accepted whose claim the store has lost.
    attempt: int = 0
    #: The worker was lost, and the job is not blamed for that: counted as a loss.
    is_loss: bool = False
    #: With `retrying`: the job may be what killed its worker, and is tried alone next.
    is_suspect: bool = False


#: The answer to an outcome. `accepted`: it is recorded now. `stale`: another attempt has taken over.
#: `forgotten`: the record is older than the claim, as after a failover, and not what it was just before it.
#: `missing`: there is no record. `fault`: it is damaged.
Settled = Literal["accepted", "stale", "forgotten", "missing", "fault"]


class Lost(Struct, frozen=True, array_like=True):
    """A running job whose lease ran out, handed to the caller under a new token."""

    id: str
    token: int
    queue: str
    body: str
    attempt: int
    crashes: int
    worker: str
    #: How long it ran, in milliseconds: until `end_lease`, or until its worker was last heard of.
    ran_ms: int
    #: What `end_lease` said of the worker's end; empty if nothing was reported.
    exit: str
    #: Attempts of this job that were lost before, without blame.
    losses: int = 0
    #: How many jobs its process held when it was lost, this one counted; 0: it left in good order.
    company: int = 1
    #: The process died by itself: one of the jobs in it may have killed it.
    is_own_death: bool = False


class Suspect(Struct, frozen=True, array_like=True):
    """A job that is to be tried alone: it may be what killed its worker."""

    id: str
    queue: str
    body: str
    #: Number of the attempt that it is to start.
    attempt: int
    priority: int


class Beat(Struct, frozen=True, array_like=True):
    """The answer to a heartbeat."""

    #: Ids of running jobs to cancel, and of jobs that are no longer ours.
    cancelled: list[str]
    lost: list[str]
    #: Queues that are paused.
    paused: list[str] = []
    #: Ids of jobs that were ours and that we do not run: they were taken back and run again.
    given_back: list[str] = []
