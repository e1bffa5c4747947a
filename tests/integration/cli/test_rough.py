"""The `taskyard` command where its streams are closed, and where something changes while it asks."""

import os
import pty
import select
import subprocess
import sys

import pytest
from click.testing import CliRunner

from taskyard.cli import main
from taskyard.schedules.repository import ScheduleRepository
from taskyard.schedules.rule import parse
from taskyard.store.audit_log import ActionFilter
from taskyard.store.controls import Limits
from tests.contract.jobs import HOUR_MS, declare_limits, pending
from tests.polling import poll

PROGRAM = f"{sys.executable} -c 'from taskyard.cli import main; main()'"


@pytest.fixture
def yard(make_yard):
    return make_yard()


@pytest.fixture
def run(yard):
    """A function that runs a command; gives its exit code, output and error output."""

    def command(*args: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(main, args, env=yard.env)
        return done.exit_code, done.stdout, done.stderr

    return command


def waiting(yard, **fields):
    """Record a job that waits for its time; return its id."""
    return pending(yard.store, delay_ms=HOUR_MS, **fields)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("cancel --queue default <&-", (2, "1 job will be cancelled: give --yes")),
        ("jobs >&-", (0, "")),
        ("status {} >&-", (0, "")),
        ("jobs >/dev/full", (1, "this cannot be written or read: [Errno 28]")),
        ("jobs -o json >/dev/full", (1, "this cannot be written or read: [Errno 28]")),
    ],
)
def test_a_stream_that_is_closed_or_full_is_no_traceback(yard, line, expected):
    """As in cron jobs and containers."""
    job_id = waiting(yard)
    shell = f"{PROGRAM} {line.format(job_id)}"

    done = subprocess.run(
        ["sh", "-c", shell],
        env={**os.environ, **yard.env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stderr[: len(expected[1])]) == expected
    assert "Traceback" not in done.stderr


def asking(yard, *args):
    """Start a command at a terminal, and return it with the terminal once it has asked."""
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "from taskyard.cli import main; main()", *args],
        env={**os.environ, **yard.env},
        stdin=end,
        stdout=end,
        stderr=end,
    )
    os.close(end)
    shown = b""
    while b"[y/N]" not in shown:
        assert select.select([terminal], [], [], 30)[0], shown
        shown += os.read(terminal, 4096)
    return process, terminal, shown.decode()


@pytest.mark.parametrize("name", ["cancel", "retry"])
def test_what_is_submitted_while_it_asks_is_left(yard, name):
    """The user agreed to what was counted."""
    ids = [waiting(yard) for _ in range(3)]
    if name == "retry":
        yard.store.cancel(ids, HOUR_MS)
    process, terminal, shown = asking(yard, name, "--queue", "default")
    late = waiting(yard)
    if name == "retry":
        yard.store.cancel([late], HOUR_MS)

    os.write(terminal, b"y\n")

    assert process.wait(30) == 0
    os.close(terminal)
    assert "3 jobs will be" in shown
    before, after = ("scheduled", "cancelled") if name == "cancel" else ("cancelled", "pending")
    assert [job.state for job in yard.store.get([*ids, late])] == [after] * 3 + [before]


def test_a_purge_leaves_what_came_while_it_asked(yard):
    """What was counted is what goes."""
    first = pending(yard.store)
    process, terminal, _ = asking(yard, "queues", "purge", "default")
    asked_ms = yard.store.now_ms()
    poll(lambda: yard.store.now_ms() > asked_ms)  # what comes in the same millisecond goes too
    late = pending(yard.store)

    os.write(terminal, b"y\n")

    assert process.wait(30) == 0
    os.close(terminal)
    assert [job.state for job in yard.store.get([first, late])] == ["cancelled", "pending"]


def test_a_purge_of_nothing_is_not_in_the_audit_log(yard, run):
    """Nothing was done."""
    yard.store.declare([], ["empty"], {})

    assert run("queues", "purge", "empty")[:2] == (0, "0 jobs cancelled\n")

    assert yard.store.find_actions(ActionFilter(action="queue.purge"), 10)[0] == []


def test_an_empty_filter_does_not_mean_all(run):
    """It is a variable of a script that nobody set."""
    for name in ("cancel", "retry", "jobs"):
        for option in ("--queue", "--task", "--tag", "--origin", "--error"):
            code, _, err = run(name, "--after", "1h", option, "", *["--yes"][name == "jobs" :])
            assert (code, f"Invalid value for '{option}': it is empty" in err) == (2, True)
    for name in ("list", "purge", "replay"):
        for option in ("--queue", "--task", "--reason", "--error-type", "--fingerprint"):
            code, _, err = run("dead-letters", name, "--after", "1h", option, "")
            assert (code, f"Invalid value for '{option}': it is empty" in err) == (2, True)


def test_a_job_that_is_named_twice_is_retried_once(yard, run):
    """It may have failed again by the second time."""
    job_id = waiting(yard)
    yard.store.cancel([job_id], HOUR_MS)

    assert run("retry", job_id, job_id)[:2] == (0, f"{job_id} retried\n")


def test_schedules_are_deleted_all_or_none(yard, run):
    """One that a file declares is told before any is gone."""
    schedules = ScheduleRepository(yard.store)
    rule = {"task": "t", "every_s": 3600}
    schedules.synchronise([parse({"name": "declared", **rule})])
    schedules.create(parse({"name": "other", **rule}))

    code, out, err = run("schedules", "delete", "other", "declared", "--yes")

    assert (code, out) == (1, "")
    assert "schedule 'declared' is declared in" in err
    assert schedules.get("other").name == "other"


def test_a_limit_that_is_not_named_stays(yard, run):
    """And what holds is shown with where it comes from."""
    limits = Limits(concurrency=3, starts=10, per_ms=60_000)
    declare_limits(yard.store, limits, task="t")

    def shown(*args):
        code, out, err = run("limit", "t", *args)
        assert (code, err) == (0, "")
        return dict(line.split("  ", 1) for line in out.splitlines())

    def card(*args):
        return [value.strip() for value in shown(*args).values()][1:]

    by_operator = (
        "an operator; the task declares concurrency 3, rate 10/m (--reset goes back to it)"
    )
    assert card() == ["3", "10/m", "what the task declares"]
    assert card("--concurrency", "5") == ["5", "10/m", by_operator]
    assert card("--rate", "7/s") == ["5", "7/s", by_operator]
    assert card("--none") == ["no limit", "no limit", by_operator]
    assert card("--concurrency", "2") == ["2", "no limit", by_operator]
    assert card("--reset") == ["3", "10/m", "what the task declares"]
    assert card("--reset") == ["3", "10/m", "what the task declares"]
    told = yard.store.find_actions(ActionFilter(target="t"), 10)[0]
    assert [each.action.after["rate"] for each in told] == ["10/m", None, None, "7/s", "10/m"]
