"""Verification after real faults: what is lost is named, brought back, runs once; else the books balance."""

import json
import os
import signal

import pytest
import redis

from taskyard.consistency.verification import Verification
from taskyard.rabbitmq.inspect import DepthReader
from taskyard.request import parse
from tests import worker_tasks as tasks
from tests.contract.jobs import LATER_MS
from tests.faults.ledger import Ledger
from tests.integration.cli.test_cli import command
from tests.polling import poll
from tests.yard import kill, kill_broker, metric


@pytest.fixture
def settings_of_yard():
    """What differs from the settings of all yards: an operator repairs, where a test does not say else."""
    return {"AUTO_REPAIR": "false"}


@pytest.fixture
def yard(make_yard, rabbit, settings_of_yard):
    """A yard of its own; RabbitMQ runs at the end, whatever happened."""
    yard = make_yard(**settings_of_yard)
    yield yard
    if not rabbit.is_running:
        rabbit.start()
    rabbit.resume()
    rabbit.wait_ready()


def verify(yard, *, older_than_s=0.0, **options):
    """Verify without the command's patience: the test knows that nothing else goes on."""
    peek = DepthReader(yard.settings.broker_url)
    return Verification(yard.client.dispatcher, peek, older_than_s=older_than_s).run(**options)


def lose_index_of_waiting(yard):
    """Damage the store as no call of it can: the one place here that knows how Redis keeps something."""
    with redis.Redis.from_url(yard.settings.result_backend) as server:
        assert server.delete(f"{yard.settings.key_prefix}waiting") == 1


def unaccounted(scheduler, yard):
    return metric(scheduler, "taskyard_jobs_unaccounted", queue=yard.queue)


def confirmed(yard, count):
    """Submit jobs, and return their ids once none is in the outbox any more."""
    ids = yard.submit_many(tasks.note, count)
    poll(lambda: set(ids) <= set(yard.store.oldest_published(yard.queue, 0, 10_000)))
    return ids


@pytest.mark.parametrize("how", ["purge", "delete"])
def test_lost_messages_are_counted_and_brought_back(yard, how):
    """By the command, as an operator would; every job completes, once."""
    ledger = Ledger(yard)
    ids = confirmed(yard, 20)
    ledger.add(*ids)
    with yard.channel() as channel:
        channel.queue_purge(yard.queue) if how == "purge" else channel.queue_delete(yard.queue)
    kept = yard.submit(tasks.note).id
    ledger.add(kept)
    poll(lambda: not yard.store.unpublished(60_000, 1))

    def found():
        code, out, _ = command(yard.env, "verify", "-o", "json")
        return code == 1 and json.loads(out)["missing_messages"]

    (missing,) = poll(found)
    assert (yard.queue, 20, []) == (missing["queue"], missing["messages"], missing["jobs"])
    code, out, _ = command(yard.env, "verify", "--repair")
    assert code == 0, out
    assert ids[0] in out
    code, out, _ = command(yard.env, "verify")
    assert (code, "every job is accounted for" in out) == (0, True)
    with yard.running(yard.worker()):
        assert ledger.settle() == {"completed": 21}
    assert 21 == len({event.job_id for event in yard.events("ran")}) == len(yard.events("ran"))


def test_jobs_that_have_all_lost_their_messages_are_named(yard):
    """Then it needs no message to know which they are."""
    lost = [lose_message(yard) for _ in range(3)]

    # One that was lost in the millisecond of the look is not older than nothing.
    (missing,) = poll(lambda: [each for each in verify(yard).missing if each.messages == 3])

    assert (missing.jobs, missing.is_repaired) == (lost, False)


def lose_message(yard):
    """Record a job as if its message had been confirmed and lost; return its id."""
    request = parse({"task": tasks.note.name, "queue": yard.queue})
    job = yard.client.prepare(tasks.note.options, request)
    yard.store.create([job])
    yard.store.mark_published([(job.id, LATER_MS)])
    return job.id


@pytest.mark.parametrize("is_repair", [False, True])
def test_an_audit_leaves_the_messages_where_they_are(yard, is_repair):
    """They are counted: what is returned to a quorum queue would come before all priorities."""
    ids = yard.submit_many(tasks.note, 100, priority=0)
    lost = lose_message(yard)
    first = yard.submit(tasks.note, priority=9).id
    poll(lambda: len(yard.store.oldest_published(yard.queue, 0, 1000)) == 102)

    (missing,) = verify(yard, is_repair=is_repair).missing

    assert (missing.messages, missing.is_repaired) == (1, is_repair)
    with yard.channel() as channel:
        found = [
            channel.basic_get(yard.queue, auto_ack=True)[1].message_id
            for _ in range(yard.ready_messages())
        ]
    there = [first, *ids]
    assert [job_id for place, job_id in enumerate(found) if job_id not in found[:place]] == (
        [first, lost, *ids] if is_repair else there
    )
    assert len(found) == (203 if is_repair else 101)


def test_jobs_that_come_just_then_hide_no_missing_message(yard):
    """Their messages are there, and so are they."""
    lose_message(yard)
    confirmed(yard, 20)

    assert [each.messages for each in verify(yard).missing] == [1]


def test_a_record_that_left_its_index_is_named_and_runs(yard):
    """A waiting job that no scheduler would ever find."""
    handle = yard.submit(tasks.note, delay_s=0.5)
    lose_index_of_waiting(yard)
    with yard.running(yard.worker(), yard.scheduler()):
        report = verify(yard)
        assert [(f.id, f.problem) for f in report.findings] == [(handle.id, "not_waiting")]
        assert not report.is_fine
        code, out, _ = command(yard.env, "verify")
        row = [line.split() for line in out.splitlines() if line.startswith(handle.id)]
        assert (code, row) == (1, [[handle.id, "not_waiting", "scheduled", yard.queue, "no"]])
        assert verify(yard, is_repair=True).is_fine
        handle.get(timeout=30)
    assert verify(yard).is_fine


@pytest.mark.slow
def test_the_gauge_follows(yard):
    """It rises by itself when messages and records are lost, and falls when they are brought back."""
    scheduler = yard.scheduler()
    with yard.running(scheduler):
        confirmed(yard, 5)
        yard.submit(tasks.note, delay_s=3600)
        with yard.channel() as channel:
            channel.queue_purge(yard.queue)
        lose_index_of_waiting(yard)
        poll(lambda: unaccounted(scheduler, yard) == 6)
        verify(yard, is_repair=True)
        poll(lambda: unaccounted(scheduler, yard) == 0)


@pytest.mark.slow
@pytest.mark.parametrize("settings_of_yard", [{}])
@pytest.mark.parametrize("how", ["queue_purge", "queue_delete"])
def test_what_is_lost_under_load_comes_back_without_anybody(yard, how):
    """A queue is purged or deleted, again and again, while jobs of all priorities go through it."""
    ledger = Ledger(yard)
    with yard.running(yard.worker(), yard.scheduler(), yard.scheduler()):
        for _ in range(3):
            ledger.add(*yard.submit_many(tasks.note, 150))
            ledger.add(*yard.submit_many(tasks.busy, 50, 0.01, priority=9))
            with yard.channel() as channel:
                getattr(channel, how)(yard.queue)
        assert ledger.settle(timeout_s=120) == {"completed": 600}
        poll(lambda: verify(yard).is_fine)
    ran = [event.job_id for event in yard.events("ran")]
    assert len(ran) == len(set(ran)) == 450


@pytest.mark.slow
def test_the_books_balance_after_everything_was_killed(yard, rabbit):
    """A worker's child, a scheduler and RabbitMQ, in the middle of 500 jobs."""
    ledger = Ledger(yard)
    worker, doomed = yard.worker(), yard.scheduler()
    with yard.running(worker, doomed, yard.scheduler()):
        ledger.add(*yard.submit_many(tasks.note, 300))
        ledger.add(*yard.submit_many(tasks.flaky, 100, 1, max_retries=1))
        ledger.add(*yard.submit_many(tasks.busy, 100, 0.01, delay_s=1.0))
        kill(worker.children()[0].pid)
        doomed.kill()
        kill_broker(rabbit)
        rabbit.start()
        rabbit.wait_ready()
        # What RabbitMQ lost with its queue's definition, `--repair` would bring back; nothing may need it.
        assert ledger.settle().total() == 500
        report = verify(yard)
    assert report.is_fine, report
    assert report.totals.accepted == 500


def test_lost_attempts_tell_how_their_worker_ended(yard):
    """Signal or exit code, who ran it, and how much memory it had."""
    with yard.running(yard.scheduler(), yard.worker()):
        # One after the other: on one child they would share its end, and neither be blamed.
        jobs = [yard.ended(yard.submit(tasks.crash, how, 1).id) for how in ("kill", "exit")]
    assert [job.attempts[0].exit for job in jobs] == ["killed by SIGKILL", "exit code 7"]
    for job in jobs:
        lost = job.attempts[0]
        assert (lost.outcome, job.state) == ("lost", "completed")
        assert job.crashes == 1
        assert lost.worker
    # A child that had hardly started has told nothing yet; the first was ready before.
    peaks = [job.attempts[0].peak_mib for job in jobs if job.attempts[0].peak_mib is not None]
    assert peaks
    assert all(10 < peak < 1000 for peak in peaks)


def test_three_schedulers_one_of_them_frozen(yard):
    """Each waiting job is dispatched once, also by the one that thaws late."""
    ledger = Ledger(yard)
    frozen = yard.scheduler()
    with yard.running(frozen, yard.scheduler(), yard.scheduler(), yard.worker()):
        ledger.add(*yard.submit_many(tasks.note, 200, delay_s=1.0))
        os.kill(frozen.pid, signal.SIGSTOP)
        assert ledger.settle() == {"completed": 200}
        os.kill(frozen.pid, signal.SIGCONT)
        ledger.add(*yard.submit_many(tasks.note, 50, delay_s=0.5))
        assert ledger.settle() == {"completed": 250}
        assert verify(yard).is_fine
    assert len(yard.events("ran")) == 250
