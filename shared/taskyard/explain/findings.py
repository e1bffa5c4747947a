"""What an explanation is made of: findings, and the situation that they are found in."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct

from taskyard.job import Job, rfc3339
from taskyard.rabbitmq.inspect import BrokerState
from taskyard.store.explaining import Ahead, Holder, JobFacts

#: `docs/explain.md` says of each what to do.
Code = Literal[
    "broker_blocked",
    "broker_away",
    "queue_paused",
    "task_paused",
    "no_worker",
    "task_unknown",
    "parked",
    "suspect",
    "past_expiry",
    "concurrency_limit",
    "rate_limit",
    "limit_line",
    "unconfirmed",
    "overdue",
    "waiting_for_time",
    "retry_backoff",
    "slots_busy",
    "jobs_ahead",
    "stalled",
    "ready",
    "worker_lost",
    "unheard",
    "cancel_requested",
    "running",
    "failed",
    "replaced",
    "cancelled",
    "expired",
    "completed",
    "risen",
    "unique_lock",
    "from_schedule",
]
CODES: tuple[Code, ...] = get_args(Code)

#: Longest text of an error in an explanation, in characters; the job has all of it.
TEXT_CHARS = 300
#: So many workers and jobs are named in a finding.
NAMED = 10


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that keeps a job from running, tells where it is, or why it ended."""

    code: Code
    #: One sentence for people; programs go by `code` and `facts`.
    summary: str
    facts: dict[str, Any]
    links: dict[str, str] = {}
    #: It keeps the job from starting now.
    is_blocking: bool = False
    #: It does not pass by itself: somebody has to do something.
    needs_action: bool = False


class ExplainSettings(msgspec.Struct, frozen=True):
    """The settings that an explanation goes by, in seconds."""

    relay_after_s: float
    unknown_task_ttl_s: float
    task_timeout_s: float
    heartbeat_s: float


class Situation(Struct, frozen=True, kw_only=True):
    """All facts that the explanation of one job goes by."""

    facts: JobFacts
    limits: ExplainSettings
    #: The documents of workers, as the store has them.
    workers: Sequence[Mapping[str, Any]] = ()
    #: Of a ready job.
    ahead: Ahead = Ahead(count=0, is_complete=True)
    occupants: Sequence[Holder] = ()
    #: None: nobody had reason to ask.
    broker: BrokerState | None = None

    @property
    def job(self) -> Job:
        """The job."""
        return self.facts.job

    @property
    def task(self) -> str:
        """The job's task."""
        return self.job.message.task

    @property
    def serving(self) -> list[Mapping[str, Any]]:
        """The workers that live, take jobs, and read the job's queue."""
        return [each for each in self.workers if serves(each, self.job.queue)]

    @property
    def capable(self) -> list[Mapping[str, Any]]:
        """Those of them that know the job's task."""
        return [each for each in self.serving if self.task in each.get("tasks", ())]


def serves(worker: Mapping[str, Any], queue: str) -> bool:
    """Return whether a worker lives, takes jobs, and reads a queue."""
    takes_jobs = worker["is_alive"] and worker.get("state") != "stopping"
    return bool(takes_jobs and queue in worker.get("queues", ()))


def slots(workers: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """Return how many slots these workers have, and how many jobs they hold."""
    return sum(w.get("slots", 0) for w in workers), sum(w.get("running", 0) for w in workers)


def span(ms: float) -> str:
    """Return a length of time in words, such as `3.2 s` or `2 h 5 min`."""
    seconds = max(0.0, ms / 1000)
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{round(hours / 24)} days"


def counted(count: int, what: str) -> str:
    """Return a number of things in words, such as `1 job` or `2 jobs`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def short(text: str) -> str:
    """Return the first line of a text, cut to a length that fits a sentence."""
    line = text.strip().partition("\n")[0]
    return line if len(line) <= TEXT_CHARS else f"{line[:TEXT_CHARS]}…"


def holder(held: Holder, now_ms: int) -> dict[str, Any]:
    """Return a job that has what another one waits for, as it is shown."""
    has_started = held.state == "running" and held.started_at > 0
    return {
        "id": held.id,
        "task": held.task,
        "state": held.state,
        "started_at": rfc3339(held.started_at) if has_started else None,
        "running_s": max(0, now_ms - held.started_at) / 1000 if has_started else None,
        "links": {"explain": explain_path(held.id)},
    }


def job_path(job_id: str) -> str:
    """Return where a job is over REST."""
    return f"/v1/jobs/{job_id}"


def explain_path(job_id: str) -> str:
    """Return where a job is explained over REST."""
    return f"{job_path(job_id)}/explain"
