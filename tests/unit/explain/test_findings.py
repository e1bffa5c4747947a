"""What facts mean: paces, estimates and the words of findings, without any server."""

from typing import Any

import msgspec
import pytest

from taskyard.explain import document, findings
from taskyard.explain.findings import ExplainSettings, Finding, Situation, counted, short, span
from taskyard.explain.queueing import pace
from taskyard.job import Attempt, Job, JobError, State
from taskyard.message import Message, Options
from taskyard.rabbitmq.inspect import BrokerState
from taskyard.store import controls
from taskyard.store.explaining import AHEAD_LIMIT, Ahead, JobFacts, LimitFacts, Risen

NOW = 1_795_515_605_000
LIMITS = ExplainSettings(
    relay_after_s=10, unknown_task_ttl_s=3600, task_timeout_s=600, heartbeat_s=1
)


def situation(
    state: str, *, pace: Any = (0,) * 31, expires_s: Any = None, **fields: Any
) -> Situation:
    """Return the situation of a job that was submitted a minute ago."""
    message = Message(
        queue_name="q",
        task="t",
        args=[],
        kwargs={},
        options=Options(expires_s=expires_s),
        message_id="a",
        message_timestamp=NOW,
    )
    job_fields = {n: fields.pop(n) for n in set(Job.__struct_fields__) & fields.keys()}
    own = {n: fields.pop(n) for n in set(JobFacts.__struct_fields__) & fields.keys()}
    job = Job(
        message=message,
        queue="q",
        state=State(state),
        created_at=NOW - 60_000,
        **{"attempt": 0, **job_fields},
    )
    unknown: dict[str, Any] = dict.fromkeys(JobFacts.__struct_fields__)
    facts = unknown | {
        "now_ms": NOW,
        "job": job,
        "runs": [],
        "intervals": [],
        "ready_since": NOW - 60_000 if state == "pending" else None,
        "ready": 1,
        "pace": list(pace),
        "queue_pauses": [],
        **own,
    }
    return Situation(facts=JobFacts(**facts), limits=LIMITS, **fields)


def worker(**fields: Any) -> dict[str, Any]:
    """Return the document of a live worker of the queue that knows the task and has a free slot."""
    told = {"queues": ["q"], "tasks": ["t"], "slots": 2, "running": 1, "state": "running"}
    return {"id": "w", "is_alive": True, "last_seen_at": NOW, **told, **fields}


def codes(known: Situation) -> list[str]:
    """Return the codes of what is found."""
    return [each.code for each in findings(known)]


def named(known: Situation, code: str) -> Finding:
    """Return a finding."""
    (finding,) = [each for each in findings(known) if each.code == code]
    return finding


@pytest.mark.parametrize(
    ("steps", "starts", "over_s"),
    [
        ([0] * 31, 0, 1),
        ([0] * 30 + [4], 4, 5),  # five seconds into the step
        ([0] * 28 + [1, 0, 1], 2, 25),
        ([5] + [0] * 29 + [1], 6, 305),  # few in the last minute: all that is known
        ([9] * 24 + [0, 0, 6, 0, 6, 0, 6], 18, 45),  # enough: the last minute only
    ],
)
def test_a_pace_is_that_of_the_time_in_which_something_started(steps, starts, over_s):
    """Of the last minute, or of five where fewer than ten started."""
    assert pace(steps, NOW) == (starts, over_s)


def test_a_pace_of_a_moment_is_not_endless():
    """What has just begun counts as a second."""
    assert pace([0] * 30 + [3], NOW - 5_000).per_s == 3


BUSY = worker(running=2)


@pytest.mark.parametrize(
    ("known", "estimate_s", "note"),
    [
        ({"pace": [0] * 30 + [10], "workers": [BUSY]}, 4.5, None),
        ({"workers": [BUSY]}, None, "no_starts"),
        ({"pace": [0] * 30 + [10]}, None, "held_up"),
        ({"pace": [0] * 30 + [10], "workers": [BUSY], "queue_pause": {}}, None, "held_up"),
    ],
)
def test_an_estimate_or_why_there_is_none(known, estimate_s, note):
    """At the pace of the queue: eight before it, at two a second."""
    found = named(
        situation("pending", ahead=Ahead(count=8, is_complete=True), **known), "jobs_ahead"
    )
    assert (found.facts["estimate_s"], found.facts["estimate_note"]) == (estimate_s, note)


def test_very_many_ahead_are_not_counted():
    """There are at least so many, and it takes at least so long."""
    ahead = Ahead(count=AHEAD_LIMIT, is_complete=False)
    found = named(
        situation("pending", ahead=ahead, pace=[0] * 30 + [10], workers=[worker(running=2)]),
        "jobs_ahead",
    )
    assert found.summary.startswith("More than 10,000 ready jobs of the queue come before it; ")
    assert (found.facts["estimate_note"], found.facts["is_complete"]) == ("at_least", False)
    assert found.facts["estimate_s"] == 5000.5


@pytest.mark.parametrize(
    ("workers", "expected"),
    [
        ([], ["no_worker"]),
        ([worker(is_alive=False)], ["no_worker"]),
        ([worker(state="stopping")], ["no_worker"]),
        ([worker(queues=["other"])], ["no_worker"]),
        ([worker(tasks=[])], ["task_unknown"]),
        ([worker(tasks=[]), worker(running=2)], ["slots_busy"]),
        ([worker(running=2), worker(queues=["other"], running=0)], ["slots_busy"]),
        ([worker(running=2), worker(tasks=[], running=0)], ["slots_busy"]),
        ([worker(running=3), worker(running=0)], ["stalled"]),
        ([{"id": "w", "is_alive": True, "last_seen_at": NOW, "running": 0}], ["no_worker"]),
    ],
)
def test_which_workers_count(workers, expected):
    """Those that live, take jobs, read the queue and know the task."""
    assert codes(situation("pending", workers=workers)) == expected


@pytest.mark.parametrize(
    ("workers", "expected"),
    [
        ([], "No live worker reads the queue 'q'."),
        ([worker(is_alive=False), worker(queues=["y"])], "No live worker reads the queue 'q'."),
        (
            [worker(queues=["y"]), worker(queues=["z"])],
            "No live worker reads the queue 'q'; the 2 alive read other queues:"
            " restart the worker after adding a task.",
        ),
    ],
)
def test_of_a_queue_that_no_worker_knows_it_is_told_what_to_do(workers, expected):
    """It comes with the first task of a queue; a worker that did read it has only to come back."""
    assert named(situation("pending", workers=workers), "no_worker").summary == expected


def test_where_a_task_is_known_is_told():
    """It may be in the wrong queue."""
    elsewhere = worker(queues=["x", "y"])
    found = named(situation("pending", workers=[worker(tasks=[]), elsewhere]), "task_unknown")
    assert found.facts["known_in_queues"] == ["x", "y"]


@pytest.mark.parametrize(
    ("age_ms", "is_blocking", "needs_action"),
    [(500, False, False), (1_500, True, False), (20_500, True, False), (21_500, True, True)],
)
def test_a_message_without_a_confirm(age_ms, is_blocking, needs_action):
    """Normal for a moment, then `relay`'s, then somebody's."""
    found = named(
        situation("pending", unconfirmed_since=NOW - age_ms, workers=[worker()]), "unconfirmed"
    )
    assert (found.is_blocking, found.needs_action) == (is_blocking, needs_action)


def held(
    *, holding: int = 0, coming: int = 0, oldest: int = 0, place: int = 0, **limits: int
) -> Situation:
    """Return the situation of a job that a limit holds back."""
    found = LimitFacts(
        key="",
        limits=controls.Limits(**limits),
        holding=holding,
        coming=coming,
        holders=[],
        oldest_start_ms=oldest,
        place=place,
        held_back=place + 1,
    )
    return situation(
        "scheduled", reason="limited", held_at=NOW - 9_000, limit=found, workers=[worker()]
    )


def test_a_job_that_has_risen_says_to_what_and_why():
    """It is in its line by that, and its own priority is told too."""
    known = situation(
        "pending",
        ready_since=NOW - 900_000,
        risen=Risen(8, NOW - 1_000),
        ahead=Ahead(count=1, is_complete=True),
        workers=[BUSY],
    )

    found = named(known, "risen")
    assert found.summary == "Its priority is 5, risen to 8 by waiting for 15 min."
    assert not (found.is_blocking)
    assert not (found.needs_action)
    assert named(known, "jobs_ahead").facts["stands_at"] == 8
    assert codes(situation("pending", workers=[BUSY])) == ["slots_busy"]


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (held(concurrency=2, holding=2), "concurrency_limit"),
        (held(concurrency=2, holding=1), "limit_line"),
        (held(starts=2, per_ms=60_000, oldest=NOW - 59_000), "rate_limit"),
        (held(starts=2, per_ms=60_000, oldest=NOW - 61_000), "limit_line"),
        (held(starts=2, per_ms=60_000, coming=2), "rate_limit"),
        (held(), "limit_line"),
    ],
)
def test_what_of_a_limit_holds_back(known, expected):
    """As the store decides it."""
    assert codes(known) == [expected]


def test_an_alarm_is_the_first_of_what_is_late():
    """It is why."""
    blocked = BrokerState(kind="blocked", detail="low on disk")
    known = situation("scheduled", run_at=NOW - 5_000, workers=[worker()], broker=blocked)

    assert codes(known) == ["broker_blocked", "overdue"]
    assert findings(known)[0].summary == "An alarm of RabbitMQ lets nobody publish (low on disk)."


def test_a_parked_job_hopes():
    """Nobody has to do anything once a worker knows its task."""
    fields = {"parked_at": NOW - 1_000, "run_at": NOW + 1_000, "reason": "unknown_task"}
    hopeless = named(situation("scheduled", workers=[worker(tasks=[])], **fields), "parked")
    hopeful = named(situation("scheduled", workers=[worker()], **fields), "parked")

    assert (hopeless.needs_action, hopeful.needs_action) == (True, False)
    assert "it is given up in 1 h." in hopeless.summary


def test_a_parked_job_is_told_as_one_while_its_message_is_looked_at_again():
    """Its message is in the queue for that, every other second."""
    known = situation("pending", parked_at=NOW - 1_000, run_at=NOW, reason="unknown_task")

    assert findings(known)[0].code == "parked"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("retries_exhausted", "no retries were left."),
        ("crash_loop", "may be what kills it."),
        ("new_reason", "new_reason."),
    ],
)
def test_the_words_of_a_failure(reason, words):
    """Also of a reason that has none."""
    error = JobError("ValueError", "it broke.\nat the second line", reason=reason)
    attempt = Attempt(3, "w", NOW - 2_000, NOW - 1_000, "failed", error)
    known = situation("failed", attempt=3, attempts=[attempt], finished_at=NOW - 1_000)

    summary = findings(known)[0].summary
    assert summary.startswith("It failed at attempt 3 with ValueError: it broke; ")
    assert summary.endswith(words)


def test_a_lease_that_is_gone_needs_somebody_in_the_end():
    """A scheduler looks every half second."""
    fields = {"attempt": 1, "attempts": [Attempt(1, "w", NOW - 9_000, None, "running")]}
    for ended_at, needs_action in ((NOW - 1_000, False), (NOW - 6_000, True), (None, True)):
        known = situation("running", started_at=NOW - 9_000, lease_ends_at=ended_at, **fields)
        assert codes(known) == ["worker_lost", "running"]
        assert findings(known)[0].needs_action == needs_action


def test_a_job_that_its_worker_never_heard_of_is_not_said_to_run():
    """The next heartbeat of the worker gives it back: nobody has to do anything."""
    attempts = [Attempt(1, "w", NOW - 500, None, "running")]
    held: dict[str, Any] = {"lease_ends_at": NOW + 9_000, "is_unheard": True}
    known = situation("running", started_at=NOW - 500, attempt=1, attempts=attempts, **held)

    (found,) = findings(known)

    assert (found.code, found.needs_action) == ("unheard", False)
    assert found.summary.startswith("w was given it")


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_a_finding_that_can_be_told(state):
    """Also where the record has nothing but the state."""
    attempts = [Attempt(1, "w", NOW - 9_000, None, "running")] if state == "running" else []
    known = situation(state, attempts=attempts)

    told = document(known, findings(known))
    assert told["summary"]
    assert msgspec.json.encode(told)


def test_words():
    """Lengths of time and numbers of things."""
    assert [span(ms) for ms in (-5, 59_900, 61_000, 3_600_000, 3_660_000, 3 * 86_400_000)] == [
        "0.0 s",
        "59.9 s",
        "1 min",
        "1 h",
        "1 h 1 min",
        "3 days",
    ]
    assert [counted(n, "job") for n in (1, 2, 10_000)] == ["1 job", "2 jobs", "10,000 jobs"]
    assert short("a\nb") == "a"
    assert len(short("x" * 1000)) == 301
