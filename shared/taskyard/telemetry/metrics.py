"""Every metric of taskyard, with its unit and labels; a label never takes an id or a text of a user."""

import collections
from bisect import bisect_left
from collections.abc import Collection

import prometheus_client
from prometheus_client import Counter, Gauge, Histogram

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # as its authors left it

_FAST_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_LONG_S = (0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class BatchHistogram(Histogram):
    """A histogram that takes many values for little more than one: with several processes a write is dear."""

    def observe_all(self, amounts: Collection[float]) -> None:
        """Do as `observe` with each."""
        buckets = collections.Counter(bisect_left(self._upper_bounds, each) for each in amounts)
        self._sum.inc(sum(amounts))
        for index, count in buckets.items():
            self._buckets[index].inc(count)


BUILD_INFO = Gauge(
    "taskyard_build_info",
    "Always 1; the labels tell what runs.",
    ["service", "version"],
    multiprocess_mode="mostrecent",
)

# Dispatch: api, scheduler and programs that call .delay()
JOBS_SUBMITTED = Counter(
    "taskyard_jobs_submitted_total", "Jobs accepted, by their door.", ["queue", "task", "origin"]
)
SUBMISSIONS_REFUSED = Counter(
    "taskyard_submissions_refused_total",
    "Submissions that were not accepted, by error code.",
    ["code"],
)
REPLIES = Counter(
    "taskyard_replies_total",
    "Outcomes of jobs for who asked for them over AMQP: sent, or given up (no_queue, too_old, no_record).",
    ["outcome"],
)
REPLIES_OWED = Gauge(
    "taskyard_replies_owed", "Jobs that have ended whose outcome is still to be told to who asked."
)
CONFIRM_SECONDS = Histogram(
    "taskyard_publish_confirm_seconds",
    "Time until RabbitMQ confirmed a publish call.",
    buckets=_FAST_S,
)
PUBLISH_BATCH = Histogram(
    "taskyard_publish_batch_messages", "Messages of one publish call.", buckets=_SIZES
)
PUBLISH_FAILURES = Counter(
    "taskyard_publish_failures_total",
    "Publish calls that RabbitMQ did not confirm in time or refused.",
)

# Intake: the scheduler's, of what was published to taskyard.submit
INTAKE_MESSAGES = Counter(
    "taskyard_intake_messages_total",
    "Submissions over AMQP that were dealt with, by outcome; an array is one, a job refused of it another.",
    ["outcome"],
)
INTAKE_BATCH = Histogram(
    "taskyard_intake_batch_messages", "Submissions of one pass of the intake.", buckets=_SIZES
)

# Store: all processes that use it
STORE_CALL_SECONDS = Histogram(
    "taskyard_store_call_seconds",
    "Time until the store answered a call; most calls are of many jobs.",
    ["operation"],
    buckets=_FAST_S,
)
STORE_FAILURES = Counter(
    "taskyard_store_failures_total",
    "Calls that the store did not answer (no_answer), or could not carry out now (refused).",
    ["kind"],
)

# Worker
JOBS_STARTED = Counter("taskyard_jobs_started_total", "Attempts that started.", ["queue", "task"])
JOBS_FINISHED = Counter(
    "taskyard_jobs_finished_total", "Attempts that ended, by outcome.", ["queue", "task", "outcome"]
)
RUN_SECONDS = BatchHistogram(
    "taskyard_job_run_seconds", "How long attempts ran.", ["queue", "task"], buckets=_LONG_S
)
WAIT_SECONDS = BatchHistogram(
    "taskyard_job_queue_wait_seconds",
    "Time from being ready to start, without deliberate delay.",
    ["queue", "task"],
    buckets=_LONG_S,
)
MESSAGES_SKIPPED = Counter(
    "taskyard_messages_skipped_total",
    "Messages acknowledged without a run, by the verdict: duplicate, leased, cancelled, parked, …",
    ["queue", "verdict"],
)
DEAD_LETTERS = Counter(
    "taskyard_dead_letters_total", "Dead letters written, by reason.", ["queue", "reason"]
)
STALE_SETTLES = Counter(
    "taskyard_stale_settles_total", "Outcomes refused because the lease had ended.", ["queue"]
)
LEASES_LOST = Counter(
    "taskyard_leases_lost_total",
    "Attempts that were stopped because the worker no longer held their job.",
    ["queue"],
)
JOBS_GIVEN_BACK = Counter(
    "taskyard_jobs_given_back_total",
    "Jobs that were taken back from a worker that never heard that its claim was granted.",
)
SLOTS = Gauge(
    "taskyard_slots", "Jobs that the worker can run at a time.", multiprocess_mode="livesum"
)
SLOTS_BUSY = Gauge(
    "taskyard_slots_busy", "Jobs that the worker runs now.", multiprocess_mode="livesum"
)
CLAIM_BATCH = Histogram("taskyard_claim_batch_jobs", "Jobs of one claim.", buckets=_SIZES)
SETTLE_BATCH = Histogram("taskyard_settle_batch_jobs", "Outcomes of one settle.", buckets=_SIZES)
CHILD_EXITS = Counter("taskyard_child_exits_total", "Worker children that ended.", ["reason"])
CHILD_MEMORY = Gauge(
    "taskyard_child_memory_bytes",
    "Resident memory of a worker's children, by their place.",
    ["child"],
    multiprocess_mode="livemostrecent",
)

# Background loops: worker and scheduler
LOOP_RUNS = Counter("taskyard_loop_runs_total", "Passes of background loops.", ["loop", "outcome"])
LOOP_SECONDS = Histogram(
    "taskyard_loop_seconds", "Time of one pass of a background loop.", ["loop"], buckets=_FAST_S
)

RESTING = Gauge(
    "taskyard_resting",
    "Items that a chore or a writer leaves alone for a while because they failed, by what they are.",
    ["what"],
    multiprocess_mode="livesum",
)

# Scheduler
LATENESS_SECONDS = Histogram(
    "taskyard_dispatch_lateness_seconds",
    "How much after its time a waiting job was published.",
    buckets=_FAST_S,
)
SCHEDULE_FIRES = Counter(
    "taskyard_schedule_fires_total", "Fire times of schedules, by what became of them.", ["outcome"]
)
SCHEDULE_LATENESS_SECONDS = Histogram(
    "taskyard_schedule_lateness_seconds",
    "How much after its fire time (and jitter) a schedule's job was made.",
    buckets=_LONG_S,
)
JOBS_RELAYED = Counter(
    "taskyard_jobs_relayed_total", "Jobs published again because no confirm was recorded."
)
JOBS_RAISED = Counter(
    "taskyard_jobs_raised_total",
    "Times that ready jobs rose in priority by waiting; each is one message more.",
    ["queue"],
)
OPERATOR_RETRIES = Counter(
    "taskyard_operator_retries_total",
    "Ended jobs that were brought back, by operators and replays.",
    ["queue"],
)
JOBS_RECLAIMED = Counter(
    "taskyard_jobs_reclaimed_total", "Running jobs taken from lost workers, by reason.", ["reason"]
)
JOBS_PRUNED = Counter("taskyard_jobs_pruned_total", "Records removed after their time to be kept.")
JOBS = Gauge("taskyard_jobs", "Jobs in the store, by state.", ["queue", "state"])
OLDEST_PENDING_SECONDS = Gauge(
    "taskyard_queue_oldest_pending_seconds",
    "Age of the oldest job that is ready and not started.",
    ["queue"],
)
QUEUE_MESSAGES = Gauge(
    "taskyard_queue_ready_messages", "Messages ready in a queue of RabbitMQ.", ["queue"]
)
QUEUE_CONSUMERS = Gauge(
    "taskyard_queue_consumers",
    "Consumers of a queue of RabbitMQ, at least as many as its full workers.",
    ["queue"],
)
UNCONFIRMED_JOBS = Gauge(
    "taskyard_unconfirmed_jobs",
    "Ready jobs whose message no confirm is recorded of, in flight or lost.",
)
OVERDUE_SECONDS = Gauge(
    "taskyard_waiting_overdue_seconds",
    "How long the first waiting job is past its time; 0 if none is.",
)
STORE_MEMORY_BYTES = Gauge("taskyard_store_memory_bytes", "Memory that the store uses.")
STORE_MEMORY_LIMIT_BYTES = Gauge(
    "taskyard_store_memory_limit_bytes", "Memory that the store may use; 0 if there is no limit."
)
DEAD_LETTERS_KEPT = Gauge(
    "taskyard_dead_letters_kept", "Dead letters in the index, by reason.", ["queue", "reason"]
)
DEAD_LETTERS_BYTES = Gauge(
    "taskyard_dead_letters_bytes",
    "Bytes of a queue's dead letters.",
    ["queue"],
)
DEAD_LETTERS_FILL = Gauge(
    "taskyard_dead_letters_fill_ratio",
    "Dead letters of a queue as a part of DEAD_LETTER_MAX or DEAD_LETTER_QUEUE_BYTES, whichever is"
    " more; at 1 the oldest are removed.",
    ["queue"],
)
DEAD_LETTERS_REMOVED = Counter(
    "taskyard_dead_letters_removed_total",
    "Dead letters removed because of DEAD_LETTER_TTL, DEAD_LETTER_MAX or DEAD_LETTER_QUEUE_BYTES.",
    ["queue"],
)
#: What a dead letter's reason may be called: others in a dead-letter queue are untrusted.
DEAD_LETTER_REASONS = frozenset(
    {
        "retries_exhausted",
        "final_error",
        "timeout",
        "crash_loop",
        "unknown_task",
        "result_too_large",
        "result_not_json",
        "invalid",
        "undecodable",
        "too_large",
        "unknown",
    }
)
JOBS_REPAIRED = Counter(
    "taskyard_jobs_repaired_total",
    "Jobs that were not accounted for and that the scheduler put right, by problem.",
    ["problem"],
)
JOBS_UNACCOUNTED = Gauge(
    "taskyard_jobs_unaccounted",
    "Jobs that are not where their state says, or whose message is gone, by queue.",
    ["queue"],
)


def begin(counter: Counter, *values: str) -> None:
    """Tell a counter's series from now on, with 0: `increase()` does not see what a series begins with.

    Args:
        counter: Has one label.
        values: All that the label may be.
    """
    for value in values:
        counter.labels(value)


def set_all(gauge: Gauge, values: dict[tuple[str, ...], float]) -> None:
    """Set a gauge to these values by labels, and remove the series of all other labels."""
    (metric,) = gauge.collect()
    present = {tuple(sample.labels.values()) for sample in metric.samples}  # in the gauge's order
    for labels in present - values.keys():
        gauge.remove(*labels)
    for labels, value in values.items():
        gauge.labels(*labels).set(value)


begin(STORE_FAILURES, "no_answer", "refused")
