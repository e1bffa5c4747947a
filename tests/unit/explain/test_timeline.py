"""A job's life is cut into stretches that leave nothing out and count nothing twice."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskyard.explain.timeline import SHOWN, documents, timeline, times
from taskyard.job import Attempt, Job, State
from taskyard.message import Message, Options
from taskyard.store.explaining import Interval, JobFacts, Run

BEGIN = 1_000_000


def facts(
    state: str,
    *,
    now: int = 1000,
    runs: Any = (),
    gaps: Any = (),
    pauses: Any = (),
    **fields: Any,
) -> JobFacts:
    """Return facts of a job; all times are milliseconds since its submission."""
    its_own = {"run_at", "started_at", "finished_at"}
    job_fields = {name: BEGIN + fields.pop(name) for name in its_own & fields.keys()}
    moments: dict[str, Any] = {
        name: BEGIN + fields[name] if name in fields else None
        for name in ("first_run_at", "held_at", "parked_at")
    }
    job = Job(
        message=Message(
            queue_name="q",
            task="t",
            args=[],
            kwargs={},
            options=Options(),
            message_id="a",
            message_timestamp=BEGIN,
        ),
        queue="q",
        state=State(state),
        attempt=fields.pop("attempt", len(runs)),
        created_at=BEGIN,
        attempts=[Attempt(1, "w", BEGIN, None, "running")],
        reason=fields.pop("reason", None),
        **job_fields,
    )
    return JobFacts(
        now_ms=BEGIN + now,
        job=job,
        runs=list(runs),
        intervals=[Interval(kind, BEGIN + a, BEGIN + b) for kind, a, b in gaps],
        replaced_by=None,
        queue_pause=None,
        task_pause=None,
        unconfirmed_since=None,
        ready_since=None,
        ready=0,
        lease_ends_at=None,
        limit=None,
        lock=None,
        pace=[],
        queue_pauses=[(BEGIN + a, BEGIN + b) for a, b in pauses],
        **moments,
    )


def run(number: int, a: int, b: int, *, retry_at: int | None = None, ran: int | None = None) -> Run:
    """Return an attempt that has ended."""
    return Run(
        number=number,
        started_at=BEGIN + a,
        finished_at=BEGIN + b,
        outcome="failed",
        retry_at=None if retry_at is None else BEGIN + retry_at,
        ran_ms=ran,
    )


def cut(known: JobFacts) -> list[tuple[str, int, int]]:
    """Return its stretches, since its submission."""
    return [(each.phase, each.from_ms - BEGIN, each.to_ms - BEGIN) for each in timeline(known)]


@pytest.mark.parametrize(
    ("known", "stretches"),
    [
        (facts("pending"), [("queued", 0, 1000)]),
        (facts("pending", now=0), [("queued", 0, 0)]),
        (facts("cancelled", finished_at=0), []),
        (
            facts("running", started_at=1000, attempt=1),
            [("queued", 0, 1000), ("running", 1000, 1000)],
        ),
        (
            facts("scheduled", first_run_at=400, run_at=400),
            [("waiting", 0, 400), ("late", 400, 1000)],
        ),
        (facts("scheduled", first_run_at=5000, run_at=5000), [("waiting", 0, 1000)]),
        (
            facts("pending", first_run_at=400, run_at=400),
            [("waiting", 0, 400), ("queued", 400, 1000)],
        ),
        (
            facts("running", started_at=300, attempt=1),
            [("queued", 0, 300), ("running", 300, 1000)],
        ),
        (
            facts("completed", runs=[run(1, 300, 700)], started_at=300, finished_at=700),
            [("queued", 0, 300), ("running", 300, 700)],
        ),
        (
            facts(
                "completed",
                runs=[run(1, 0, 0, retry_at=200), run(2, 300, 300)],
                started_at=300,
                finished_at=300,
            ),
            [("running", 0, 0), ("retrying", 0, 200), ("queued", 200, 300), ("running", 300, 300)],
        ),
        (facts("completed", runs=[run(1, 0, 0)], finished_at=0), [("running", 0, 0)]),
        (
            facts("retrying", runs=[run(1, 100, 200, retry_at=900)], run_at=2000),
            [("queued", 0, 100), ("running", 100, 200), ("retrying", 200, 1000)],
        ),
        (
            facts("pending", runs=[run(1, 100, 200, retry_at=900)], run_at=900),
            [
                ("queued", 0, 100),
                ("running", 100, 200),
                ("retrying", 200, 900),
                ("queued", 900, 1000),
            ],
        ),
        (
            facts("pending", runs=[run(1, 100, 600, retry_at=600, ran=300)], run_at=600),
            [
                ("queued", 0, 100),
                ("running", 100, 400),
                ("lost", 400, 600),
                ("queued", 600, 1000),
            ],
        ),
        (
            facts("scheduled", held_at=300, reason="limited", gaps=[("limited", 100, 200)]),
            [
                ("queued", 0, 100),
                ("limited", 100, 200),
                ("queued", 200, 300),
                ("limited", 300, 1000),
            ],
        ),
        (
            facts("scheduled", held_at=300, reason="paused"),
            [("queued", 0, 300), ("paused", 300, 1000)],
        ),
        (
            facts("scheduled", parked_at=100, run_at=2000, gaps=[("limited", 200, 300)]),
            [
                ("queued", 0, 100),
                ("parked", 100, 200),
                ("limited", 200, 300),
                ("parked", 300, 1000),
            ],
        ),
        (
            facts("cancelled", first_run_at=5000, run_at=5000, finished_at=700),
            [("waiting", 0, 700)],
        ),
        (
            facts("pending", runs=[run(1, 100, 200)], gaps=[("ended", 200, 800)]),
            [("queued", 0, 100), ("running", 100, 200), ("ended", 200, 800), ("queued", 800, 1000)],
        ),
        (
            facts("pending", gaps=[("handed_back", 100, 400)]),
            [("queued", 0, 100), ("handed_back", 100, 400), ("queued", 400, 1000)],
        ),
    ],
)
def test_a_life_is_cut_where_something_changed(known, stretches):
    """What nothing on the record tells was spent in the queue."""
    assert cut(known) == stretches


def test_attempts_that_follow_at_once_are_told_apart():
    """Each has its own number."""
    known = facts("failed", runs=[run(1, 0, 400), run(2, 400, 700)], finished_at=700)
    assert [(e.phase, e.attempt) for e in timeline(known)] == [("running", 1), ("running", 2)]


moment = st.integers(-100, 1500)


@given(
    st.lists(st.tuples(moment, moment, st.none() | moment, st.none() | moment), max_size=4),
    st.lists(
        st.tuples(
            st.sampled_from(["limited", "paused", "parked", "handed_back", "ended"]), moment, moment
        ),
        max_size=5,
    ),
    st.sampled_from(["pending", "scheduled", "retrying", "running", "completed"]),
    st.dictionaries(st.sampled_from(["first_run_at", "held_at", "parked_at", "run_at"]), moment),
)
def test_stretches_sum_to_the_whole_life(runs, gaps, state, moments):
    """Without a gap or an overlap, whatever the record says, also if it contradicts itself."""
    known = facts(
        state,
        runs=[
            run(n + 1, a, b, retry_at=c, ran=d)
            for n, (a, b, c, d) in enumerate(sorted(runs, key=str))
        ],
        gaps=gaps,
        started_at=500,
        finished_at=900,
        **moments,
    )

    stretches = timeline(known)
    end = 900 if state == "completed" else 1000
    assert [
        *(each.from_ms for each in stretches),
        BEGIN + end,
    ] == [BEGIN, *(each.to_ms for each in stretches)]
    spent = times(stretches)
    assert end / 1000 == spent.pop("total_s")
    assert end / 1000 == pytest.approx(sum(spent.values()))


def test_what_is_no_longer_kept_is_told_as_that():
    """Between the first and the latest attempts neither a run nor a wait can be told."""
    known = facts(
        "completed",
        attempt=9,
        runs=[run(1, 0, 100, retry_at=150), run(8, 700, 800, retry_at=850), run(9, 900, 950)],
        gaps=[("limited", 200, 300)],
        finished_at=950,
    )

    assert cut(known) == [
        ("running", 0, 100),
        ("retrying", 100, 150),
        ("omitted", 150, 200),
        ("limited", 200, 300),
        ("omitted", 300, 700),
        ("running", 700, 800),
        ("retrying", 800, 850),
        ("queued", 850, 900),
        ("running", 900, 950),
    ]


def test_only_the_latest_of_very_many_are_shown():
    """The sums are of all."""
    runs = [run(n + 1, 10 * n, 10 * n + 5, retry_at=10 * n + 10) for n in range(500)]
    known = facts("retrying", runs=runs, now=5000, run_at=5000)

    stretches = timeline(known)
    shown = documents(known, stretches)
    assert (len(stretches), len(shown)) == (1000, SHOWN)
    assert (times(stretches)["running_s"], times(stretches)["retrying_s"]) == (2.5, 2.5)
    assert [each["to"] for each in shown if each["to"] is None] == [None]
    assert shown[-1]["to"] is None


def test_time_in_a_paused_queue_is_told_as_paused():
    """Only what would have been spent queued: an attempt that ran meanwhile ran."""
    run = Run(number=1, started_at=BEGIN + 500, finished_at=BEGIN + 900, outcome="completed")
    pauses = [(700, 2000), (300, 400), (-50, 100)]

    cut = timeline(facts("completed", finished_at=900, runs=[run], pauses=pauses))

    assert [(each.phase, each.to_ms - each.from_ms) for each in cut] == [
        ("paused", 100),
        ("queued", 200),
        ("paused", 100),
        ("queued", 100),
        ("running", 400),
    ]
