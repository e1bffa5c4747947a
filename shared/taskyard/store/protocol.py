"""`JobStore`: what every state store promises. `tests/contract/` holds each implementation to it.

Every method is atomic, may be called by any number of processes at once, takes and gives lists
(one job is a list of one), uses the store's own clock, and raises `StoreUnavailable` when the store
does not answer within its deadline. A call that failed so may have been carried out: all of them may be
repeated with the same arguments. What a store repeats by itself, after its connection broke, answers as if it
had been made once.

Long because it is one reference, by topic. The types are in the modules beside it.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from taskyard.errors import StoreFault
from taskyard.job import Job
from taskyard.store.attempts import Beat, Claim, Lost, Outcome, Settled, Suspect, Verdict
from taskyard.store.audit_log import Action, ActionFilter, LoggedAction
from taskyard.store.consistency import PendingCounts, RecordPage, Totals
from taskyard.store.controls import Kind, LimitKind, Limits, TaskLimits
from taskyard.store.dead_letters import (
    DeadGroup,
    DeadLetter,
    DeadLetterFilter,
    Removal,
    RetryRequest,
    RetryResult,
    RetrySource,
)
from taskyard.store.explaining import Ahead, Holder, JobFacts
from taskyard.store.finding import Count, Cursor, Filter, IdPage, JobPage, Order
from taskyard.store.jobs import Cancelled, Change, Changed, NewJob, Purged, Ready, Recorded, Removed
from taskyard.store.keys import Added, KeyRing, Metered, NewKey, Use
from taskyard.store.monitoring import EventSubscription, QueueCounts, Vitals, Work
from taskyard.store.replays import NewReplay, Replay, ReplayBatch
from taskyard.store.replies import OwedReply, ReplyRequest, Reservation
from taskyard.store.schedules import DueSchedules, ScheduleWrite, StoredSchedule


class JobStore(Protocol):
    """The state store; see the module's text for what holds for every method.

    The methods that have a body here follow from others: no store writes them anew.
    """

    # Recording jobs

    def create(self, jobs: Sequence[NewJob]) -> list[Recorded]:
        """Record jobs, each by itself; idempotent by id. A pending one stays in the outbox until published.

        The answer is a `StoreFault` where a record is damaged that is in its way, and `InTheWay` where a job
        out of its reach has its id or its lock; then nothing is recorded, and that job stays as it is.
        """

    def withdraw(self, ids: Sequence[str], *, published: Sequence[str] = ()) -> list[str]:
        """Forget jobs that have never started: their submission has failed. Return those that stay.

        One that an attempt has begun of stays, wherever it is by now. So does one that was created again,
        retried or changed meanwhile: another caller relies on it. And so does one that has
        replaced another: without it nothing of the two would run. Of one that is forgotten a message may be
        on its way: its claim is answered `cancelled`, unless the job is created anew, until the message must
        have come.

        Args:
            ids: The jobs.
            published: Those of them that the caller may have sent a message of. What others have sent, as of
                a job that has come due, the store knows.
        """

    def replace(self, ids: Sequence[str]) -> None:
        """Cancel the jobs that these new ones replace: the new ones are safe now, and will not be withdrawn.

        A claim does the same. Of several new ones at a time, the one that was recorded last stays.
        """

    def cancel(self, ids: Sequence[str], ttl_ms: int) -> list[Cancelled]:
        """Cancel jobs: at once if they do not run, else by asking their worker."""

    def change(self, job_id: str, change: Change) -> Changed:
        """Change a job that waits (scheduled or retrying); of any other, nothing changes.

        One that a limit or a pause holds back is due already: a time that has come leaves it there.
        """

    def remove(self, ids: Sequence[str]) -> list[Removed]:
        """Forget jobs that have ended, as `prune` does when their time is over.

        One of which a message may still come, as after a cancellation, stays until a worker has seen that.
        """

    def purge(self, queue: str, *, limit: int, ttl_ms: int, before_ms: int | None = None) -> Purged:
        """Cancel pending jobs of a queue, the oldest first; one that runs is left.

        Args:
            queue: Its name.
            limit: Most jobs of this call; 0 cancels none.
            ttl_ms: How long their records are kept.
            before_ms: Only those that were ready by then (milliseconds since 1970); None means now.

        Returns:
            How many were cancelled, and how many are left that were ready by then; and when that was.
        """

    def prune(self, limit: int) -> int:
        """Remove at most `limit` records whose time to be kept is over; return how many."""

    # Publishing: the outbox of messages, and jobs that come due

    def take_due(self, limit: int) -> tuple[list[Ready], int | None]:
        """Make due waiting jobs pending and return them, with the milliseconds until the next is due or None.

        There may be fewer than `limit` though more are due: their messages take some megabytes at most.
        """

    def unpublished(self, older_than_ms: int, limit: int) -> list[Ready]:
        """Return pending jobs that have been in the outbox for so long, and start their time anew.

        There may be fewer than `limit` though there are more: their messages take some megabytes at most.
        """

    def unconfirmed(self, ids: Sequence[str]) -> list[Ready]:
        """Return those of these jobs that are pending and in the outbox, and leave them there.

        Their submitter is about to publish them, or has died, or never learned that they are recorded.
        """

    def mark_published(self, jobs: Sequence[tuple[str, int]]) -> None:
        """Take jobs out of the outbox: the broker has confirmed their messages.

        Args:
            jobs: Each with the time at which it was recorded, or handed over to be published, in milliseconds
                since 1970. One that came into the outbox later stays: that is about another message.
        """

    def age(self, queue: str, step_ms: int, limit: int) -> tuple[list[Ready], bool]:
        """Raise confirmed ready jobs of a queue by one priority for each step that they have waited, up to 9.

        Return those whose copies are to be published, at most `limit`, the longest due first, and whether
        there may be more: one call looks at some hundred jobs at most. Another caller gets them only if no
        `mark_raised` follows within some seconds. One that is behind goes up all its steps at once. Jobs of
        a paused queue stay as they are.

        Args:
            queue: The queue.
            step_ms: How long a step is.
            limit: Most jobs to give.
        """

    def mark_raised(self, queue: str, step_ms: int, ids: Sequence[str]) -> None:
        """Note that copies of jobs that `age` gave are confirmed."""

    def copies(self, *, recent_ms: int = 0) -> dict[str, int]:
        """Return for each queue how many messages it has beside those that its pending jobs must have.

        Messages that were counted so long ago need not have been among these: copies that were made within
        `recent_ms` are left out, and some that are older by a second.
        """

    def forget_copies(self, gone: Mapping[str, int]) -> None:
        """Note that so many copies of each queue are gone without having come to a worker, as by a purge."""

    # Attempts: claims, leases and outcomes

    def exchange(
        self,
        outcomes: Sequence[Outcome],
        owner: str,
        worker: str,
        claims: Sequence[Claim],
        *,
        call: int = 0,
    ) -> tuple[list[Settled], list[Verdict]]:
        """Settle outcomes and then grant claims, in one round trip; see `settle` and `claim`.

        An outcome of `owner` whose claim the store has forgotten is accepted where the record is as it was
        just before: the attempt has run, and would run again. Where a record is damaged, the answer is
        `fault`.
        """

    def claim(
        self, owner: str, worker: str, claims: Sequence[Claim], *, call: int = 0
    ) -> list[Verdict]:
        """Let attempts start, held by `owner`'s lease; repeated by the same owner, it answers the same.

        An owner without a lease gets a short one; it should send a heartbeat before it claims.

        Args:
            owner: Whose lease holds the attempts; unique for each start of a process.
            worker: Name of the worker to show on the job.
            claims: One for each message.
            call: The number of this call, which grows with each that the owner makes, from 1 on; with it
                `heartbeat` knows what became of the answer. 0: it has none.
        """
        return self.exchange((), owner, worker, claims, call=call)[1]

    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        """End attempts, and wake those who wait for them; False where the outcome is not accepted.

        Raises:
            StoreFault: If the record of one is damaged; all others are settled.
        """
        settled, _ = self.exchange(outcomes, "", "", ())
        if "fault" in settled:
            job_id = outcomes[settled.index("fault")].id
            raise StoreFault(f"the store failed at the record of job {job_id!r}: it is damaged")
        return [each == "accepted" for each in settled]

    def progress(self, job_id: str, token: int, progress: str) -> bool:
        """Show how far an attempt is (JSON of a `Progress`); False where the token is stale."""

    def heartbeat(
        self,
        owner: str,
        info: dict[str, Any],
        lease_ms: int,
        running: Sequence[tuple[str, int]],
        *,
        over: int = 0,
    ) -> Beat:
        """Extend `owner`'s lease and show its worker document, unless it has ended.

        What the owner holds by a call that is over, and does not run, is taken back and is due at once.

        Args:
            owner: Whose lease it is.
            info: The worker document.
            lease_ms: How long the lease holds from now on.
            running: The id and token of each attempt whose outcome the store has not accepted yet. To be read
                after `over`.
            over: The last claim call of which nothing more comes: what it granted is running, or was never
                heard of and will not be acted on. 0: unknown, and nothing is taken back.
        """

    def end_lease(self, owner: str, exit_reason: str | None, *, is_own_death: bool = False) -> bool:
        """End `owner`'s lease now, as its process is gone; return whether it held a job.

        Calls of it that arrive later change nothing: its heartbeats are void, its claims are not granted. Its
        outcomes are accepted as before. It stays among `workers` for a while, unless it was
        there to try suspects alone: they are expected to kill it.

        Args:
            owner: Whose lease it is.
            exit_reason: How it ended, in words; None: it stopped in good order, and is forgotten. A reclaimer
                may go on all the same: it neither sends heartbeats nor claims.
            is_own_death: Nobody ended it: one of its jobs may have.
        """

    def lost(
        self, owner: str, lease_ms: int, limit: int, *, gap_ms: int | None = None
    ) -> list[Lost]:
        """Hand running jobs whose lease has run out to `owner`, whose lease on them begins now.

        With `gap_ms` there are none as long as `forgive_outage` with the same gap has something to do: the
        store's clock may have been set. A field that a damaged record lacks gets a default, such as an empty
        body; what is no record is left out.
        """

    def take_suspect(self, queues: Sequence[str], reserve_ms: int) -> Suspect | None:
        """Return the job of these queues that has waited longest to be tried alone, None if there is none.

        It is reserved for the caller for `reserve_ms`, who claims it with `is_alone`.
        """

    def suspects(self, queues: Sequence[str]) -> int:
        """Return how many jobs of these queues may be tried alone now."""

    def forgive_outage(self, gap_ms: int, grace_ms: int) -> bool:
        """Extend all leases to `grace_ms` from now if nobody has called this for `gap_ms`.

        Owners that have ended get no grace. Return whether there was one, or the clock was set
        forward. After it was set back, leases that would last longer than `grace_ms` are cut to that.
        """

    # Reading jobs

    def get(self, ids: Sequence[str]) -> list[Job | None]:
        """Return the jobs, None where there is none of this id.

        Raises:
            StoreFault: If the record of one is damaged.
        """

    def look(self, ids: Sequence[str]) -> list[Job | None]:
        """Return the jobs as `get`, to be shown: of a damaged record what it is about, or None."""

    def wait(self, job_id: str, timeout_s: float) -> Job | None:
        """Return the job once it is in a terminal state, or as it is after `timeout_s`."""

    def find(
        self,
        wanted: Filter,
        *,
        cursor: Cursor | None = None,
        limit: int = 50,
        order: Order = "created",
    ) -> JobPage:
        """Return the next jobs that fit, at most `limit`, and of `PAGE_BYTES` at most (but for a single one).

        Those that are submitted meanwhile do not shift the pages: none is given twice and none left out.

        Args:
            wanted: Which jobs.
            cursor: Where the page before ended; of the same order.
            limit: How many at most.
            order: Which come first.
        """
        page = self.find_ids(wanted, cursor=cursor, limit=limit, order=order)
        jobs = [job for job in self.look(page.ids) if job is not None]
        if wanted.states:  # some may have changed since they were found
            jobs = [job for job in jobs if job.state in wanted.states]
        return JobPage(jobs=jobs, cursor=page.cursor)

    def find_ids(
        self,
        wanted: Filter,
        *,
        cursor: Cursor | None = None,
        limit: int = 50,
        order: Order = "created",
    ) -> IdPage:
        """Return the ids of the jobs that `find` would return, which are not read for that."""

    def count(self, wanted: Filter) -> Count:
        """Return how many jobs fit, as far as a bounded search tells."""

    def explain(self, job_id: str) -> JobFacts | None:
        """Return the facts about a job, None if there is none of this id.

        Raises:
            StoreFault: If its record is damaged, or what it waits for.
        """

    def ahead(self, facts: JobFacts) -> Ahead:
        """Return how many ready jobs come before the one that `facts` are about, looking at `AHEAD_LIMIT`."""

    def occupants(self, owners: Sequence[str]) -> list[Holder]:
        """Return the jobs that these workers have run for longest, at most `NAMED`."""

    # Dead letters

    def index_dead_letters(self, letters: Sequence[tuple[DeadLetter, str]]) -> None:
        """Enter dead letters whose messages are confirmed, each with its body (used where no record has it).

        Those of an attempt that another one has taken the job from are entered as removals instead.
        """

    def find_dead(
        self, wanted: DeadLetterFilter, limit: int, cursor: Cursor | None = None
    ) -> tuple[list[tuple[str, int]], Cursor | None]:
        """Return ids and times of death, newest first, and where to go on.

        A page may be short, or empty, while there are more: a call looks at a bounded number of entries.
        """

    def dead_letters(self, ids: Sequence[str]) -> list[DeadLetter | None]:
        """Return the dead letters, None where there is none of this id."""

    def dead_groups(
        self, limit: int, cursor: Cursor | None = None
    ) -> tuple[list[DeadGroup], Cursor | None]:
        """Return the groups, that of the latest death first, and where to go on."""

    def dead_counts(self) -> tuple[dict[tuple[str, str], int], dict[str, int]]:
        """Return the dead letters by queue and reason, and by queue the messages to be removed."""

    def dead_bytes(self) -> dict[str, int]:
        """Return how many bytes the messages of the dead letters take, by queue."""

    def retry_sources(self, ids: Sequence[str]) -> list[RetrySource]:
        """Return what is known of these jobs, without those of which nothing is."""

    def retry(self, jobs: Sequence[RetryRequest], *, replay_id: str = "") -> list[RetryResult]:
        """Make failed, cancelled and expired jobs pending again, and put them in the outbox.

        A unique one takes its lock again, unless another living job has it: then it stays as it is.

        Their dead letters leave the index, and become removals. A replay counts each job once; what is not
        part of it any more, or is stopped, is left alone.
        """

    def purge_dead(self, ids: Sequence[str], *, keep_records: bool = False) -> list[str]:
        """Remove dead letters, and the records of their jobs; return the ids of those that were there.

        The record of a job of which a message may still come stays.
        """

    def removals(self, limit: int) -> list[Removal]:
        """Return messages that may leave; those of a retried job once its new message is confirmed."""

    def removed(self, removals: Sequence[Removal]) -> None:
        """Forget removals that are done."""

    def unindexed(self, messages: Sequence[tuple[str, int]]) -> list[str]:
        """Return which of these messages (id, attempts) the index does not know."""

    def forget_dead(self, queue: str, letters: Sequence[tuple[str, int]]) -> int:
        """Take dead letters (id, time of death) whose messages are gone out of the index; return how many.

        One that has died again since stays, and one that has all that is left of its job.
        """

    def overdue_dead(
        self, queue: str, *, ttl_ms: int, max_count: int, max_bytes: int, limit: int
    ) -> list[str]:
        """Return dead letters past their time (0: there is none) or, oldest first, above a bound."""

    # Replays of dead letters

    def add_to_replay(self, replay_id: str, found: Sequence[tuple[str, int]]) -> None:
        """Collect dead letters (id, time of death) for a replay that starts when it has all."""

    def start_replay(self, replay: NewReplay) -> None:
        """Start what was collected; one that has started stays as it is."""

    def take_replays(self, limit: int, lease_ms: int) -> tuple[list[ReplayBatch], bool]:
        """Return what the rates allow now, and whether any replay goes on.

        Replays that are done, or whose canary has failed, end.
        """

    def replays(self, ids: Sequence[str]) -> list[Replay]:
        """Return those of these replays that there are; a finished one is kept for 30 days.

        Where they take more than `PAGE_BYTES`, the first ones.
        """

    def newest_replays(self, cursor: Cursor | None = None) -> tuple[list[Replay], Cursor | None]:
        """Return the newest hundred, of `PAGE_BYTES` at most (but for a single one), and where to go on.

        None: that was all.
        """

    def stop_replay(self, replay_id: str) -> None:
        """Replay no more of it; one that has ended stays as it is."""

    # Limits and pauses

    def set_limits(
        self, task: str, limits: Limits | None, *, keep: Collection[LimitKind] = ()
    ) -> None:
        """Set a task's limits; None takes back what was set, so that what workers declare holds.

        Those in `keep` stay as they are now, or as another caller sets them at the same time.
        """

    def limits_of(self, task: str) -> TaskLimits:
        """Return the limits of a task, those that are set and those that are declared."""

    def limits(self) -> dict[str, Limits]:
        """Return the limits that hold now, by task."""

    def pause(self, kind: Kind, name: str, document: Mapping[str, Any]) -> bool:
        """Let no job of a queue or task start; False if it is paused already, whose document stays.

        `document` says who paused it (`by`), when (`at`) and why (`reason`), for all who ask.
        """

    def resume(self, kind: Kind, name: str) -> bool:
        """Let jobs start again; False if it is not paused."""

    def pauses(self, kind: Kind) -> dict[str, dict[str, Any]]:
        """Return the documents of all paused queues or tasks, by name."""

    # Schedules

    def schedules(self, cursor: Cursor | None = None) -> tuple[list[StoredSchedule], Cursor | None]:
        """Return schedules by name, and where to go on; None: that was all.

        A page has `PAGE_BYTES` at most, but for a single one.
        """

    def schedule(self, name: str) -> StoredSchedule | None:
        """Return a schedule, or None if there is none of this name."""

    def write_schedule(self, change: ScheduleWrite) -> bool:
        """Make a change, unless another was made since the schedule was read: then do nothing, answer False.

        A call whose answer was lost may be repeated: it answers False, and the schedule shows what holds.
        """

    def remove_schedule(self, name: str, revision: int) -> bool:
        """Forget a schedule and its history; False if it was changed since it was read, or is gone."""

    def due_schedules(self, limit: int) -> DueSchedules:
        """Return schedules that are due, the longest due first; they stay so until they are written."""

    def schedule_events(self, name: str, limit: int) -> list[str]:
        """Return the last events of a schedule's history, newest first."""

    # Answers to submitters: idempotency keys and outcomes

    def reserve(self, key: str, mine: Reservation, ttl_ms: int) -> Reservation:
        """Return the reservation that holds for `key`: the first that was made, maybe `mine`."""

    def conclude(self, key: str, reservation: Reservation) -> None:
        """Write the answer down; the time to be kept goes on from when it was reserved."""

    def request_replies(self, requests: Sequence[ReplyRequest]) -> None:
        """Record who gets the outcomes of jobs; of one that has ended it is owed at once."""

    def take_replies(self, again_ms: int, limit: int) -> tuple[list[OwedReply], int]:
        """Return replies that are owed and hide them for `again_ms`; also how many are owed in all."""

    def mark_replied(self, owed: Sequence[OwedReply]) -> None:
        """Forget these recipients, who were sent theirs or given up; not what has come to be owed since."""

    # API keys

    def add_key(
        self, key: NewKey, *, ttl_ms: int | None = None, max_keys: int, is_replacing: bool = False
    ) -> Added:
        """Add a key that expires after `ttl_ms`; one of this id stays as it is.

        With `is_replacing`, another key of its name is revoked instead of being in the way.
        """

    def key_ring(self) -> KeyRing:
        """Return all keys."""

    def revoke_keys(self, ids: Sequence[str]) -> list[str]:
        """Let keys be refused from now on; return the ids of those that were not revoked before."""

    def forget_keys(self, ids: Sequence[str]) -> list[str]:
        """Remove keys that are revoked or have expired; return the ids of those that were."""

    def use_keys(self, uses: Sequence[Use]) -> list[Metered]:
        """Count requests, each against its key's limit, in all processes."""

    # The audit log

    def begin_action(self, action: Action, *, max_entries: int, ttl_s: int) -> None:
        """Add an entry before its action is carried out; entries past the bounds go, the oldest first."""

    def end_action(self, action_id: str, action: Action | None) -> None:
        """Write an entry anew, as its outcome is known now; None: nothing was done, and it is removed."""

    def find_actions(
        self, wanted: ActionFilter, limit: int, cursor: Cursor | None = None
    ) -> tuple[list[LoggedAction], Cursor | None]:
        """Return a page, the newest first, and where the next begins; None: that was all.

        Each call looks at a bounded number of entries: a page may be short and yet not be the last.
        """

    # Consistency

    def totals(self) -> Totals | None:
        """Return what was recorded, withdrawn, pruned and kept, at one moment; None if none ever was."""

    def check_records(
        self, cursor: str, limit: int, *, ids: Sequence[str] = (), is_repair: bool = False
    ) -> RecordPage:
        """Check about `limit` records from `cursor` on ("0" is the beginning, "" none), and those of `ids`.

        A record that is there from the first step of a walk to its last is seen. With `is_repair` each
        finding is put where it belongs, as far as its record still says where.
        """

    def count_pending(
        self, queues: Sequence[str], older_than_ms: int, *, before_ms: int = 0
    ) -> PendingCounts:
        """Count the pending jobs of each queue.

        Args:
            queues: Their names.
            older_than_ms: How long an `old` one has been ready.
            before_ms: When `jobs` became ready, at the latest; 0: none did.
        """

    def oldest_published(self, queue: str, older_than_ms: int, limit: int) -> list[str]:
        """Return the oldest jobs of a queue that must have a message in the broker."""

    def oldest_overtaken(self, queue: str, older_than_ms: int, limit: int) -> list[str]:
        """Return the oldest jobs that must have a message in the broker and have been overtaken.

        Those are overtaken that come before one that runs just now: it is of the same priority and became
        ready later, or of a lower one and started later. `OVERTAKEN_LIMIT` jobs of the queue are looked at.
        """

    def republish(self, ids: Sequence[str], older_than_ms: int = 0) -> list[Ready]:
        """Put pending jobs that have been ready for so long back into the outbox, and return them.

        They are ready from now on, as their messages will be: another scheduler that asks for the same a
        moment later gets none of them.
        """

    # The catalogue, and who works

    def declare(
        self,
        tasks: Sequence[dict[str, Any]],
        queues: Sequence[str],
        limits: Mapping[str, Limits] | None = None,
        *,
        lapse_s: float = 15.0,
    ) -> None:
        """Put a worker's tasks (documents with a `name`), their limits and queues into the catalogue.

        Where workers declare a task differently, the newest declaration holds: that of the latest deploy. It
        lapses when no worker has repeated it for `lapse_s`.
        """

    def tasks(self) -> list[dict[str, Any]]:
        """Return the documents of all tasks in the catalogue, by name."""

    def queues(self) -> list[str]:
        """Return the names of all queues in the catalogue, sorted."""

    def workers(self) -> list[dict[str, Any]]:
        """Return the worker documents, each with `is_alive`, `last_seen_at` and `running`."""

    # Monitoring and waking

    def counts(self) -> list[QueueCounts]:
        """Return the jobs of every queue by state."""

    def submitted_within(self, period_s: float) -> int:
        """Return how many of the jobs that are kept were submitted in the last `period_s` seconds."""

    def vitals(self) -> Vitals:
        """Return how the store is now."""

    def await_work(self, kind: Work, timeout_s: float) -> None:
        """Return when there may be work of this kind out of turn, or after `timeout_s`; one thread a kind."""

    def subscribe(self) -> EventSubscription:
        """Return a subscription to the states of all jobs; while there is one, each change costs a little."""

    # The server

    def now_ms(self) -> int:
        """Return the store's clock, in milliseconds since 1970."""

    def secret(self, offered: bytes) -> bytes:
        """Return the secret of this installation; `offered` becomes it where there is none."""

    def check(self) -> list[str]:
        """Return what is unsafe about the server's settings, a sentence each; empty if nothing.

        Raises:
            ConfigurationError: If the server would throw records away.
        """

    def ping(self) -> None:
        """Return if the store answers."""

    def close(self) -> None:
        """Close all connections; safe to call twice."""
