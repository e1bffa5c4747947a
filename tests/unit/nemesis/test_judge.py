"""The judge of `make faults`, with made-up rounds: each broken promise is found, and kept ones are not."""

from datetime import UTC, datetime

import pytest

from taskyard.consistency.verification import Missing, Report
from tests.nemesis.book import Book, Cancel, Submission
from tests.nemesis.checks import CHECKS, judge
from tests.nemesis.checks.limits import most_at_once
from tests.nemesis.evidence import Evidence, Marks
from tests.nemesis.executions import Execution
from tests.nemesis.witness import Death, Still, Witness

LEASE_S = 15.0
#: Processes of two workers.
PID, OTHER_PID = 11, 22


def asked(job_id="job", *, verdict="accepted", task="quick", door="rest", **facts):
    """Return a submission of the moment 100."""
    times = {"asked_at": 100.0, "answered_at": 100.1}
    return Submission(
        job_id=job_id, door=door, task=task, number=1, verdict=verdict, **{**times, **facts}
    )


def attempt(number=1, outcome="completed", finished_at=102.0):
    """Return an attempt as a document has it."""
    moment = datetime.fromtimestamp(finished_at, UTC).isoformat()
    return {"number": number, "outcome": outcome, "finished_at": moment}


def document(state="completed", attempts=None, *, reason=None):
    """Return a job as the API shows it."""
    ended = state in ("completed", "failed", "cancelled", "expired")
    return {
        "state": state,
        "attempts": [attempt()] if attempts is None else attempts,
        "error": None if reason is None else {"reason": reason},
        "finished_at": "2026-11-24T10:00:00.000Z" if ended else None,
    }


def ran(job_id="job", *, number=1, pid=PID, began_at=101.0, ended_at=102.0, task="quick", **facts):
    """Return an execution; one that ended has returned."""
    return Execution(
        job_id=job_id,
        task=task,
        number=1,
        attempt=number,
        pid=pid,
        began_at=began_at,
        ended_at=ended_at,
        **{"returned": ended_at is not None, **facts},
    )


def a_round(*submissions, runs=(), documents=None, deaths=None, stills=(), **more):
    """Return the evidence of a round; unless told otherwise, one job was accepted, ran and completed."""
    submissions = submissions or (asked(),)
    book = Book(submissions={each.job_id: each for each in submissions})
    documents = {"job": document()} if documents is None else documents
    evidence = Evidence(
        book=book,
        marks=Marks(90.0, 110.0, 115.0, 120.0),
        witness=Witness(LEASE_S, deaths or {}, list(stills)),
        executions=list(runs or [ran()]),
        documents=documents,
        **more,
    )
    evidence.read_again = {**evidence.ended(), **evidence.read_again}
    return evidence


def found(evidence):
    """Return the names of the checks that found something."""
    return set(judge(evidence))


def test_a_round_in_which_all_went_well_has_no_findings():
    """Nor has one in which a failed submission left no trace, or was kept and ran."""
    refused = asked("refused", verdict="refused")
    kept = asked("kept", verdict="unknown")

    evidence = a_round(
        asked(),
        refused,
        kept,
        runs=[ran(), ran("kept")],
        documents={"job": document(), "refused": None, "kept": document()},
    )

    assert judge(evidence) == {}


def test_every_check_says_what_it_promises():
    """By a docstring of one sentence, which is what a report's reader is shown."""
    assert all(check.__doc__ for check in CHECKS.values())


# Ends


def test_a_round_in_which_nothing_happened_proves_nothing():
    """It is no success."""
    evidence = a_round(asked(verdict="refused"), documents={"job": None})
    evidence.executions.clear()

    assert "nothing_accepted" in found(evidence)


def test_an_accepted_job_without_a_record_is_lost():
    """Whether it ran or not."""
    assert "lost" in found(a_round(documents={"job": None}))


def test_a_message_that_was_purged_before_it_had_a_record_is_not_lost():
    """If it was published straight to the queue, before the purge, and never ran."""

    def purged(*runs, **facts):
        other = asked("other", **{"door": "direct", **facts})
        evidence = a_round(asked(), other, runs=[ran(), *runs], documents=_with_other(None))
        evidence.witness.purges["direct"] = [105.0]
        return evidence

    assert found(purged()) == set()
    assert found(purged(door="rest")) == {"lost"}
    assert found(purged(asked_at=106.0)) == {"lost"}
    assert found(purged(ran("other"))) == {"lost"}


@pytest.mark.parametrize("state", ["scheduled", "pending", "running", "retrying"])
def test_an_accepted_job_that_does_not_end_is_stuck(state):
    """In whatever state it is."""
    assert "stuck" in found(a_round(documents={"job": document(state)}))


def test_a_job_that_was_kept_unasked_and_does_not_end_is_found():
    """Nobody was promised anything, and yet it is there for ever."""
    evidence = a_round(
        asked(), asked("other", verdict="unknown"), documents=_with_other(document("running"))
    )

    assert found(evidence) == {"refused_but_open"}


def test_what_runs_without_a_record_is_found():
    """A refused job that ran, and of which nobody knows."""
    evidence = a_round(
        asked(),
        asked("other", verdict="refused"),
        runs=[ran(), ran("other")],
        documents=_with_other(None),
    )

    assert found(evidence) == {"ran_without_record"}


def test_a_job_that_was_refused_for_good_and_ran_is_found():
    """RabbitMQ gave its message back, or the API called it wrong."""
    evidence = a_round(
        asked(),
        asked("other", verdict="refused", is_final=True),
        runs=[ran(), ran("other")],
        documents=_with_other(document()),
    )

    assert found(evidence) == {"refused_and_yet_kept"}


def test_a_job_that_is_not_in_the_list_is_found():
    """Though the API shows it by its id."""
    assert found(a_round(unlisted={"job"})) == {"unlisted"}


def test_a_good_task_does_not_fail():
    """A task that fails each time does, with a dead letter."""
    failed = {"job": document("failed", [attempt(outcome="failed")], reason="error")}
    letters = {"dead_letters": {"job"}, "dead_messages": 1}

    assert found(a_round(documents=failed, **letters)) == {"failed_unexpected"}
    assert found(a_round(asked(task="broken"), documents=failed, **letters)) == set()


def test_a_crash_loop_is_explained_by_processes_that_died():
    """By as many as it takes, and not by fewer."""
    attempts = [attempt(number, "lost") for number in (1, 2, 3)]
    runs = [ran(number=number, pid=number, ended_at=None) for number in (1, 2, 3)]
    evidence = a_round(
        documents={"job": document("failed", attempts, reason="crash_loop")},
        runs=[*runs, ran("other")],
        deaths={pid: Death(101.5, 101.6) for pid in (1, 2, 3)},
        dead_letters={"job"},
        dead_messages=1,
    )
    assert found(evidence) == set()

    del evidence.witness.deaths[3]
    assert found(evidence) == {"failed_unexpected", "lost_unexplained"}


def test_a_task_that_fails_each_time_does_not_complete():
    """Not even if the record says so."""
    assert found(a_round(asked(task="broken"))) == {"broken_completed"}


def test_a_job_expires_only_if_it_has_a_time_to():
    """None of the load has."""
    assert found(a_round(documents={"job": document("expired", [])})) == {"expired_unasked"}


def test_a_job_is_cancelled_only_if_somebody_asks():
    """Also if nobody was told that it was."""
    evidence = a_round(documents={"job": document("cancelled", [])})
    assert found(evidence) == {"cancelled_unasked"}

    evidence.book.doomed.add("job")
    assert found(evidence) == set()


def test_a_cancelled_job_that_completed_is_found():
    """If it was said to be cancelled; if it was asked to stop, it may have been too late."""
    assert found(_cancelled(200)) == {"cancel_undone"}
    assert found(_cancelled(202)) == set()


def test_a_cancelled_job_that_starts_is_found():
    """After the answer: an attempt before it is none of this."""
    evidence = _cancelled(200, answered_at=100.9)
    evidence.documents["job"] = document("cancelled", [])
    evidence.read_again = evidence.ended()
    assert found(evidence) == {"run_after_cancel"}

    evidence = _cancelled(200, answered_at=101.1)
    evidence.documents["job"] = document("cancelled", [])
    evidence.read_again = evidence.ended()
    assert found(evidence) == set()


def test_a_last_state_that_changes_is_found():
    """Or its end, its attempts, or the whole record."""
    for again in (document("failed"), document(attempts=[attempt(), attempt(2)]), None):
        assert found(a_round(read_again={"job": again})) == {"end_changed"}


# Runs


def test_a_job_that_completed_without_a_run_is_found():
    """The record says so, and no task told of it."""
    assert "completed_unrun" in found(a_round(runs=[ran("other")]))


def test_a_job_that_completed_by_an_attempt_that_did_not_return_is_found():
    """Another one did."""
    evidence = a_round(documents={"job": document(attempts=[attempt(2)])})

    assert found(evidence) == {"completed_by_another_attempt"}


def test_a_job_that_completed_without_an_attempt_is_found():
    """The record has none."""
    evidence = a_round(documents={"job": document(attempts=[])})

    assert found(evidence) == {"completed_by_another_attempt"}


def test_a_job_that_completed_twice_is_found():
    """By its own record."""
    attempts = [attempt(1), attempt(2)]
    evidence = a_round(documents={"job": document(attempts=attempts)}, runs=[ran(), ran(number=2)])

    assert found(evidence) == {"settled_twice", "run_twice_unexplained"}


def test_an_attempt_that_started_twice_is_found():
    """Even if only one of them came to its end."""
    evidence = a_round(runs=[ran(), ran(pid=OTHER_PID, ended_at=None)])

    assert found(evidence) == {"same_attempt_twice"}


def test_a_job_that_ran_twice_though_nothing_was_lost_is_found():
    """That another attempt of it was lost is no excuse."""
    attempts = [attempt(1, "lost"), attempt(2, "failed"), attempt(3)]
    runs = [
        ran(number=1, ended_at=None),
        ran(number=2, pid=OTHER_PID),
        ran(number=3, pid=OTHER_PID),
    ]
    evidence = a_round(
        documents={"job": document(attempts=attempts)},
        runs=runs,
        deaths={PID: Death(101.5, 101.6)},
    )

    assert found(evidence) == {"run_twice_unexplained"}


def test_a_lost_attempt_whose_process_went_on_is_found():
    """Nothing but a lost lease explains a second run."""
    assert found(_run_twice(ended_at=102.0)) == {"lost_unexplained"}


def test_a_second_run_is_explained_by_a_process_that_died():
    """It had come to its end, and nobody heard of it."""
    assert found(_run_twice(deaths={PID: Death(102.5, 102.6)})) == set()


def test_a_death_after_the_loss_explains_nothing():
    """The process went on when its attempt was called lost."""
    assert found(_run_twice(deaths={PID: Death(160.0, 160.1)})) == {"lost_unexplained"}


def test_a_second_run_is_explained_by_a_process_that_stood_still_for_a_lease():
    """Or was cut off for so long; not by one that stood still for a moment, and not by another one."""
    assert found(_run_twice(stills=[Still(PID, 101.5, 121.0)])) == set()
    assert found(_run_twice(stills=[Still(PID, 101.5, 105.0)])) == {"lost_unexplained"}
    assert found(_run_twice(stills=[Still(OTHER_PID, 101.5, 121.0)])) == {"lost_unexplained"}


def test_an_attempt_that_was_lost_too_early_is_found():
    """Its process had just begun to stand still."""
    evidence = _run_twice(lost_at=104.0, stills=[Still(PID, 101.5, 121.0)])

    assert found(evidence) == {"lost_unexplained"}


def test_a_claim_that_nobody_ran_may_be_lost():
    """Its answer did not come back, so no task told of it."""
    attempts = [attempt(1, "lost"), attempt(2)]
    evidence = a_round(documents={"job": document(attempts=attempts)}, runs=[ran(number=2)])

    assert found(evidence) == set()


def test_a_job_that_ran_before_its_time_is_found():
    """Counted from before it was asked for; a moment later is late enough."""
    assert found(a_round(asked(delay_s=1.5))) == {"early"}
    assert found(a_round(asked(delay_s=1.0))) == set()


def test_a_repeated_submission_counts_from_the_first():
    """Which may have been recorded, though it was not answered; what was accepted stays so."""
    book = Book()

    book.enter(asked(verdict="unknown", delay_s=1.0, asked_at=100.0))
    book.enter(asked(delay_s=1.0, asked_at=105.0))
    book.enter(asked(verdict="refused", asked_at=110.0))

    kept = book.submissions["job"]
    assert (kept.verdict, kept.asked_at, kept.delay_s) == ("accepted", 100.0, 1.0)


# Limits


def test_more_at_a_time_than_the_limit_are_found():
    """Three may run; one that ends as another begins makes room."""
    jobs = "abcd"

    def beside(*starts):
        runs = [
            ran(job_id, task="limited", began_at=start, ended_at=start + 1)
            for job_id, start in zip(jobs, starts, strict=True)
        ]
        return a_round(
            *(asked(job_id, task="limited") for job_id in jobs),
            runs=runs,
            documents={job_id: document() for job_id in jobs},
        )

    assert found(beside(101.0, 101.2, 101.4, 101.6)) == {"limit_exceeded"}
    assert found(beside(101.0, 101.2, 101.4, 102.0)) == set()


def test_what_runs_on_after_its_lease_is_lost_does_not_count():
    """The frozen process does not know; what began before its lease could be over counts."""
    jobs = "abcd"
    runs = [ran(each, task="limited", began_at=101.0, ended_at=130.0) for each in jobs[:3]]

    def with_a_fourth(began_at):
        fourth = ran("d", task="limited", pid=OTHER_PID, began_at=began_at, ended_at=began_at + 1)
        return a_round(
            *(asked(each, task="limited") for each in jobs),
            runs=[*runs, fourth],
            documents={each: document() for each in jobs},
            stills=[Still(PID, 101.5, 129.0)],
        )

    assert found(with_a_fourth(104.0)) == {"limit_exceeded"}
    assert found(with_a_fourth(118.0)) == set()


def test_what_died_does_not_run_on_and_what_nobody_saw_die_does():
    """A process that lives still runs what it has begun."""
    jobs = "abcd"
    runs = [
        *(ran(each, task="limited", ended_at=None) for each in jobs[:3]),
        ran("d", task="limited", pid=OTHER_PID, began_at=105.0, ended_at=106.0),
    ]
    evidence = a_round(
        *(asked(each, task="limited", verdict="unknown") for each in jobs),
        asked(),
        runs=[*runs, ran()],
        documents={**dict.fromkeys(jobs, document("cancelled", [])), "job": document()},
    )
    evidence.book.doomed.update(jobs)
    assert found(evidence) == {"limit_exceeded"}

    evidence.witness.deaths[PID] = Death(104.0, 104.1)
    assert found(evidence) == set()


def test_two_of_a_key_at_a_time_are_found():
    """While the lock of the first lasts; jobs of other keys may run beside it."""

    def two(*keys, began_at=101.5):
        evidence = a_round(
            asked("a", task="unique"),
            asked("b", task="unique"),
            runs=[
                ran("a", task="unique", ended_at=began_at + 0.2),
                ran("b", task="unique", began_at=began_at, ended_at=began_at + 1),
            ],
            documents={"a": document(), "b": document()},
        )
        for key, job_id in zip(keys, "ab", strict=True):
            evidence.book.by_key.setdefault(key, set()).add(job_id)
        return evidence

    assert found(two("key", "key")) == {"unique_overlap"}
    assert found(two("key", "other key")) == set()
    assert found(two("key", "key", began_at=221.0)) == set()
    forgotten = two("key", "key")
    forgotten.witness.forgotten.append((102.2, 102.6))
    assert found(forgotten) == set()


def test_the_most_at_a_time_are_named():
    """With the moment at which they came together."""
    crowd = most_at_once([("a", 1.0, 4.0), ("b", 2.0, 3.0), ("c", 3.0, 5.0), ("d", 6.0, 6.0)])

    assert (crowd.count, crowd.at, crowd.job_ids) == (2, 2.0, ("a", "b"))


# Books


def test_two_ends_of_one_job_in_the_stream_are_found():
    """One end is told once, or not at all if the stream had missed it."""
    evidence = a_round()
    evidence.book.ends_told["job"] = 2

    assert found(evidence) == {"two_end_events"}


def test_an_end_that_nobody_replied_is_found():
    """Of a job that came over AMQP; a reply may come twice."""
    evidence = a_round(asked(door="amqp"))
    assert found(evidence) == {"no_ended_reply"}

    evidence.book.ends_replied["job"] = 2
    assert found(evidence) == set()


def test_dead_letters_and_failed_jobs_are_the_same():
    """A failed job has a letter, and a letter a failed job."""
    failed = {"job": document("failed", [attempt(outcome="failed")], reason="error")}

    assert found(a_round(asked(task="broken"), documents=failed)) == {"failed_without_letter"}
    letters = a_round(dead_letters={"job"}, dead_messages=1)
    assert found(letters) == {"letter_of_another_end"}
    assert found(a_round(dead_messages=1)) == {"letters_out_of_step"}


def test_what_audit_gauge_customers_and_services_complain_of_is_found():
    """Each by its own name."""
    missing = Missing(queue="default", messages=1, jobs=[])
    report = Report(totals=None, checked=1, findings=[], missing=[missing])
    assert found(a_round(consistency=report)) == {"consistency"}
    assert found(a_round(unaccounted=2.0)) == {"unaccounted"}
    assert found(a_round(mishaps=["api1 ended by itself"])) == {"mishaps"}
    evidence = a_round()
    evidence.book.surprises.append("rest: 500")
    assert found(evidence) == {"surprises"}


def test_dead_letters_that_were_thrown_away_are_listed_all_the_same():
    """More are listed than there are messages; fewer only where a forgotten failure happened again."""
    failed = {"job": document("failed", [attempt(outcome="failed")], reason="error")}
    evidence = a_round(asked(task="broken"), documents=failed, dead_letters={"job"})
    assert found(evidence) == {"letters_out_of_step"}

    evidence.witness.dead_purges.append(105.0)
    assert found(evidence) == set()
    evidence.dead_messages = 2
    assert found(evidence) == {"letters_out_of_step"}
    evidence.witness.forgotten.append((105.0, 106.0))
    assert found(evidence) == set()


def test_a_store_that_forgot_is_excused_for_that_moment():
    """For what it was told then, and not for jobs that it still knows and that do not end."""
    lost, stuck = a_round(documents={"job": None}), a_round(documents={"job": document("running")})
    for evidence in (lost, stuck):
        evidence.witness.forgotten.append((100.05, 100.5))
    assert found(lost) == set()
    assert found(stuck) == {"stuck"}

    lost.witness.forgotten[0] = (95.0, 99.0)
    assert found(lost) == {"lost"}


# Made-up parts


def _with_other(other):
    return {"job": document(), "other": other}


def _cancelled(status, *, answered_at=103.0):
    """Return a round whose one job ran, completed, and was cancelled with this answer."""
    evidence = a_round()
    evidence.book.doomed.add("job")
    evidence.book.cancels.append(
        Cancel(job_id="job", asked_at=100.5, answered_at=answered_at, status=status)
    )
    return evidence


def _run_twice(*, ended_at=102.0, lost_at=118.0, **seen):
    """Return a round whose one job came to its end twice; its first attempt is told as lost."""
    attempts = [attempt(1, "lost", lost_at), attempt(2, finished_at=119.5)]
    return a_round(
        documents={"job": document(attempts=attempts)},
        runs=[
            ran(number=1, ended_at=ended_at),
            ran(number=2, pid=OTHER_PID, began_at=119.0, ended_at=119.4),
        ],
        **seen,
    )
