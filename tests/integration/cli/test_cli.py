"""The `taskyard` command, against a real worker."""

import json
import os
import pty
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from taskyard.cli import main
from taskyard.inventory import queue_documents
from taskyard.job import rfc3339
from taskyard.schedules.repository import ScheduleRepository
from taskyard.schedules.rule import parse
from taskyard.store.audit_log import Action, ActionFilter
from taskyard.store.controls import Limits
from taskyard.store.dead_letters import DeadLetter
from tests import worker_tasks as tasks
from tests.contract.jobs import HOUR_MS, pending
from tests.polling import poll


@pytest.fixture(scope="module")
def yard(make_yard):
    yard = make_yard()
    with yard.running(yard.worker()):
        poll(lambda: yard.store.tasks())
        yield yard


@pytest.fixture
def run(yard):
    """A function that runs the command with arguments; gives its exit code, output and error output.

    In this process: one for each of so many would take long.
    """

    def run(*args):
        done = CliRunner().invoke(main, args, env=yard.env)
        return done.exit_code, done.stdout, done.stderr

    return run


def command(env, *args):
    """Run the command as a shell would."""
    program = "from taskyard.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, *args],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_job_is_submitted_and_awaited(run):
    """Arguments are JSON, or else texts."""
    code, out, _ = run(
        "submit", tasks.add.name, "1", "-k", "b=2", "--wait", "30", "--tag", "x", "-o", "json"
    )

    job = json.loads(out)
    assert (code, job["state"], job["result"], job["origin"]) == (0, "completed", 3, "cli")
    assert job["tags"] == ["x"]
    shown = run("submit", tasks.echo.name, "text", "--wait", "30")[1]
    assert {'args      "text"', 'result    "text"'} <= set(shown.splitlines())


def test_the_exit_code_tells_how_a_job_ended(run, yard):
    """0 completed, 1 not, 124 not yet, 3 unknown."""
    code, out, _ = run("submit", tasks.hopeless.name, "--wait", "30")
    assert (code, "state     failed (" in out) == (1, True)
    yard.dead_letter(tasks.QUEUE)

    code, out, _ = run("submit", tasks.echo.name, "--delay", "3600")
    job_id = out.strip()
    assert code == 0
    code, _, err = run("status", job_id, "--wait", "0.1")
    assert (code, "it is still scheduled: It is to run at " in err) == (124, True)
    assert (0, json.loads(run("status", job_id, "-o", "json")[1])["state"]) == (0, "scheduled")
    assert run("cancel", job_id)[:2] == (0, f"{job_id} cancelled\n")
    assert run("cancel", job_id)[0] == 1
    assert run("status", "nobody")[0] == 3


def test_what_is_wrong_is_named(run):
    """All of it at once."""
    code, _, err = run("submit", "test.ad", "1", "--priority", "11")

    assert code == 2
    priority, task = err.splitlines()
    assert priority.startswith("--priority: ")
    assert task.startswith("TASK: no task 'test.ad'; did you mean 'test.add'")
    assert '"two" is not a whole number' in run("submit", "test.add", "1", "two")[2]


@pytest.fixture
def rows(yard):
    """A function that runs a command that lists; gives the cells of its table, by column."""

    def run(*args):
        out = CliRunner().invoke(main, args, env=yard.env).stdout
        head, *lines = [re.split(r" {2,}", line.strip()) for line in out.splitlines()]
        return [dict(zip(head, line, strict=True)) for line in lines]

    return run


@pytest.fixture
def items(yard):
    """A function that runs a command that lists; gives the documents that it prints for programs."""

    def run(*args):
        return json.loads(CliRunner().invoke(main, [*args, "-o", "json"], env=yard.env).stdout)[
            "items"
        ]

    return run


def test_tasks_are_listed_with_what_holds_of_them(rows, items, yard):
    """Their limits, who knows them, and who has paused them."""
    yard.store.set_limits(tasks.add.name, Limits(concurrency=3))
    yard.store.pause("task", tasks.add.name, {"at": "2026-11-24", "by": "anna", "reason": "why"})
    try:
        (row,) = [each for each in rows("tasks") if each["TASK"] == "test.add(a, b)"]
        (item,) = [each for each in items("tasks") if each["name"] == tasks.add.name]
    finally:
        yard.store.resume("task", tasks.add.name)
        yard.store.set_limits(tasks.add.name, None)

    assert (row["QUEUE"], row["STATE"], row["WORKERS"]) == (tasks.QUEUE, "paused", "1")
    assert (row["CONCURRENCY"], row["RATE"]) == ("3", "-")
    assert row["PAUSED"] == "by anna since 2026-11-24: why"
    assert (item["workers"], item["paused"]["by"], item["concurrency"]) == (1, "anna", 3)


def test_queues_are_listed_with_what_is_in_them(rows, items, yard):
    """Jobs by state, who reads them, and dead letters."""
    job_id = pending(yard.store, queue="unread")

    (read,) = [each for each in rows("queues") if each["QUEUE"] == yard.queue]
    (unread,) = [each for each in rows("queues") if each["QUEUE"] == "unread"]

    assert (read["STATE"], read["WORKERS"], read["PAUSED"]) == ("active", "1", "-")
    assert (unread["STATE"], unread["WORKERS"], unread["PENDING"]) == ("no worker", "0", "1")
    yard.store.cancel([job_id], 1)
    assert items("queues") == queue_documents(yard.store)


def test_workers_are_listed_with_what_is_known_of_them(rows, items, yard):
    """Of one that is lost nobody knows how busy it is, and when it was seen is told."""
    document = {"busy": 8, "slots": 8, "queues": ["mail"], "jobs_done": 3}
    yard.store.heartbeat("lost:0:1", document, 1, [])

    found = {each["WORKER"]: each for each in poll(lambda: _with_lost(rows("workers")))}

    lost = found.pop("lost:0:1")
    assert (lost["STATE"], lost["BUSY"], lost["DONE"]) == ("lost", "-", "3")
    assert {(each["STATE"], each["BUSY"].partition("/")[2]) for each in found.values()} == {
        ("alive", yard.env["WORKER_THREADS"])
    }
    assert [each["id"] for each in items("workers")] == sorted(["lost:0:1", *found])


def _with_lost(rows):
    return rows if any(each["STATE"] == "lost" for each in rows) else None


def test_an_empty_list_says_so_and_prints_nothing(yard):
    """What to do next is on standard error: a program finds an empty list."""
    env = {**yard.env, "KEY_PREFIX": "nothing-is-here:"}

    for command, hint in (
        ("queues", "a worker makes known"),
        ("tasks", "Is one running?"),
        ("workers", "until one is started"),
        ("jobs", "No job fits"),
    ):
        told = CliRunner().invoke(main, [command], env=env)
        assert (told.exit_code, told.stdout, hint in told.stderr) == (0, "", True)
        told = CliRunner().invoke(main, [command, "-o", "json"], env=env)
        assert (json.loads(told.stdout), told.stderr) == ({"items": []}, "")


def test_jobs_are_listed_and_run_now(run, rows, items, yard):
    """A line each, chosen by what they are; one that waits need not."""
    job_id = run("submit", tasks.echo.name, "1", "--delay", "3600", "--tag", "listed")[1].strip()

    (row,) = rows("jobs", "--tag", "listed", "--state", "scheduled")
    assert (row["ID"], row["STATE"], row["TASK"]) == (job_id, "scheduled", tasks.echo.name)
    assert rows("jobs", "--due", "--limit", "1", "--tag", "listed") == [row]
    (item,) = items("jobs", "--tag", "listed")
    assert (item["id"], item["created_at"], item["run_at"]) == (job_id, row["CREATED"], row["DUE"])
    assert items("jobs", "--tag", "listed", "--task", "other") == []

    assert run("run-now", job_id)[:2] == (0, f"{job_id} due scheduled\n")
    assert job_id in [ready.id for ready in yard.store.take_due(10)[0]]
    assert run("run-now", job_id)[:2] == (1, f"{job_id} too late: it is pending\n")
    code, out, err = run("run-now", "nobody")
    assert (code, out, "no job 'nobody'" in err) == (3, "nobody unknown\n", True)


def test_schedules_are_looked_after(run, rows, items, yard):
    """Listed, shown, paused, resumed and triggered; one that is not there is told."""
    asked = {"name": "cli", "task": tasks.add.name, "args": [1], "every_s": 3600}
    ScheduleRepository(yard.store).create(parse(asked))

    (row,) = rows("schedules", "list")
    assert (row["SCHEDULE"], row["STATE"], row["TASK"], row["RULE"]) == (
        *("cli", "active", "test.add", "every 3600 s"),
    )
    assert [each["next_fire_at"] for each in items("schedules", "list")] == [row["NEXT"]]
    assert "cli  paused" in run("schedules", "pause", "cli")[1]
    assert "cli  next 20" in run("schedules", "resume", "cli")[1]
    job_id = run("schedules", "trigger", "cli")[1].strip()
    assert yard.ended(job_id).state == "completed"
    card = run("schedules", "show", "cli")[1].splitlines()
    assert card[0].split() == ["name", "cli"]
    assert [line.split()[1:] for line in card if "triggered" in line] == [["triggered", job_id]]
    shown = json.loads(run("schedules", "show", "cli", "-o", "json")[1])
    assert (shown["every_s"], shown["history"][0]["job_id"]) == (3600, job_id)
    code, _, err = run("schedules", "show", "nobody")
    assert code == 3
    assert "no schedule 'nobody'" in err


def test_letters_that_a_terminal_does_not_have_are_escaped(yard):
    """It is no reason to fail."""
    job_id = pending(yard.store, task="w日w", queue="unread")
    env = {**yard.env, "PYTHONIOENCODING": "latin-1"}

    out = command(env, "status", job_id)[1]

    assert "w\\u65e5w" in out
    yard.store.cancel([job_id], 1)


@pytest.mark.parametrize("is_plain", [False, True])
def test_a_terminal_has_colours_unless_they_are_switched_off(yard, is_plain):
    """And a table that fits it: ages in place of times."""
    terminal, end = pty.openpty()
    env = {**os.environ, **yard.env, "TERM": "xterm", "COLUMNS": "70"}
    env |= {"NO_COLOR": "1"} if is_plain else {}
    program = [sys.executable, "-c", "from taskyard.cli import main; main(['workers'])"]
    subprocess.run(program, env=env, stdin=end, stdout=end, stderr=end, timeout=60, check=True)
    os.close(end)
    shown = os.read(terminal, 65_536).decode()
    os.close(terminal)

    assert ("\x1b[32malive\x1b[0m" in shown) == (not is_plain)
    assert " ago" in shown


def test_servers_that_are_away_are_told(yard):
    """By address and variable, without passwords, and with an exit code of its own."""
    store = {**yard.env, "RESULT_BACKEND": "redis://:pass-word@127.0.0.1:1/0"}
    code, _, err = command(store, "tasks")
    assert code == 4
    assert "the store at redis://127.0.0.1:1/0 does not answer" in err
    assert err.count("RESULT_BACKEND has its address") == 1

    broker = {**yard.env, "BROKER_URL": "amqp://u:pass-word@127.0.0.1:1/"}
    for args in (("submit", tasks.add.name, "1", "2"), ("queues", "move", "any")):
        code, _, err = command({**broker, "PUBLISH_DEADLINE_S": "60"}, *args)
        assert code == 4
        assert "(127.0.0.1:1)" in err
        assert err.count("BROKER_URL has its address") == 1
        assert "pass-word" not in err


def test_what_is_not_there_is_told_with_the_store_that_was_asked(yard):
    """It may be another one than was meant."""
    env = {**yard.env, "KEY_PREFIX": "nothing-is-here:"}
    place = yard.env["RESULT_BACKEND"]
    asked = f"{place} (key prefix 'nothing-is-here:')"

    for args in (
        ("status", "nobody"),
        ("explain", "nobody"),
        ("cancel", "nobody"),
        ("retry", "nobody"),
        ("schedules", "show", "nobody"),
        ("pause", "queue", "nobody"),
        ("queues", "purge", "nobody"),
        ("submit", tasks.add.name, "1", "2"),
    ):
        assert CliRunner().invoke(main, args, env=env).stderr.count(asked) == 1, args


def test_without_rabbitmq_one_line_says_so(yard):
    """A submission fails; what is retried is recorded, and it is told when it runs."""
    job_id, other = pending(yard.store, queue="unread"), pending(yard.store, queue="unread")
    yard.store.cancel([job_id, other], 3_600_000)
    env = {
        **yard.env,
        "BROKER_URL": "amqp://guest:guest@127.0.0.1:1/",
        "PUBLISH_DEADLINE_S": "1",
    }

    code, out, err = command(env, "submit", tasks.echo.name, "1")
    assert (code, out, len(err.splitlines())) == (4, "", 1)
    assert "BROKER_URL has its address" in err

    code, out, err = command(env, "retry", job_id, other)
    assert (code, out) == (0, f"{job_id} retried\n{other} retried\n")
    (line,) = err.splitlines()
    assert line.startswith("RabbitMQ takes nothing (")
    assert line.endswith("): they run once it does")
    yard.store.cancel([job_id, other], 1)


def test_a_task_is_paused_resumed_and_limited(run, yard):
    """Only what is there can be; a second time says so."""
    name = tasks.add.name
    assert run("pause", "task", name, "--reason", "why") == (0, "paused\n", "")
    assert run("pause", "task", name) == (0, "was paused\n", "")
    assert yard.store.pauses("task")[name]["reason"] == "why"
    assert run("resume", "task", name)[1] == "resumed\n"
    assert run("resume", "task", name)[1] == "was not paused\n"
    code, _, err = run("pause", "queue", "nothing")
    assert (code, "no queue 'nothing'" in err) == (3, True)

    none = {"concurrency": None, "rate": None}
    shown = {"task": name, "concurrency": 3, "rate": "5/m", "is_set": True, "declared": none}
    limit = ("limit", name, "-o", "json")
    assert json.loads(run(*limit, "--concurrency", "3", "--rate", "5/m")[1]) == shown
    assert json.loads(run(*limit)[1]) == shown
    lifted = {"task": name, **none, "is_set": False, "declared": none}
    assert json.loads(run(*limit, "--reset")[1]) == lifted
    code, _, err = run("limit", name, "--rate", "often")
    assert (code, err.startswith("--rate 'often': must be like 100/m")) == (2, True)
    assert run("limit", name, "--reset", "--concurrency", "3")[0] == 2


def test_the_reason_of_a_pause_is_as_short_as_the_api_wants_it(run, yard):
    """Nothing is paused by a longer one."""
    code, _, err = run("pause", "task", tasks.echo.name, "--reason", "x" * 501)

    assert (code, err) == (2, "--reason: has 501 characters, more than 500\n")
    assert yard.store.pauses("task") == {}


def test_what_the_command_did_is_in_the_audit_log(run):
    """By whom and on what; what changed nothing is not."""

    _, out, _ = run("submit", tasks.echo.name, "secret-7", "--delay", "3600")
    job_id = out.strip()
    run("run-now", job_id)
    run("cancel", job_id)
    run("cancel", job_id)
    run("pause", "task", tasks.add.name, "--reason", "why")
    run("pause", "task", tasks.add.name)
    run("resume", "task", tasks.add.name)
    run("limit", tasks.add.name, "--concurrency", "2")
    run("limit", tasks.add.name)
    run("limit", tasks.add.name, "--reset")

    code, out, _ = run("log", "-o", "json", "--limit", "100")

    told = json.loads(out)["items"][::-1]
    found = [(e["action"], e["target"]) for e in told if e["target"] in (job_id, tasks.add.name)]
    assert code == 0
    found = found[found.index(("job.run_now", job_id)) + 1 :]
    # A worker may have been faster than the first cancellation.
    found = [entry for entry in found if entry != ("job.cancel", job_id)]
    assert [
        (f"task.{action}", tasks.add.name) for action in ("pause", "resume", "limit", "unlimit")
    ] == found
    assert {entry["origin"] for entry in told} == {"cli"}
    assert all(entry["who"].startswith("cli:") and "@" in entry["who"] for entry in told)
    assert "secret-7" not in out
    _, line, _ = run("log", "--action", "task.pause", "--target", tasks.add.name)
    assert "task.pause" in line
    assert '"reason": "why"' in line
    assert run("log", "--who", "nobody")[1] == ""


def test_keys_are_in_the_audit_log_without_themselves(yard):
    """Made, revoked and forgotten; what was not done is not."""
    token = ""
    for args in (
        ["create", "audited", "--scope", "jobs:read", "--task", tasks.add.name],
        ["create", "audited", "--scope", "jobs:read"],
        ["forget", "audited"],
        ["revoke", "audited", "--yes"],
        ["revoke", "audited"],
        ["forget", "audited", "--yes"],
    ):
        done = CliRunner().invoke(main, ["keys", *args], env=yard.env)
        token = token or done.stdout.strip()

    out = CliRunner().invoke(main, ["log", "-o", "json", "--action", "key"], env=yard.env).stdout

    told = json.loads(out)["items"][::-1]
    assert [(f"key.{action}", "audited") for action in ("create", "revoke", "forget")] == [
        (entry["action"], entry["target"]) for entry in told
    ]
    assert (
        told[0]["after"]["scopes"],
        told[1]["before"]["tasks"],
    ) == (["jobs:read"], [tasks.add.name])
    assert len(token) > 20
    assert token not in out


def test_jobs_that_fit_are_cancelled_after_a_yes(run, yard):
    """Counted first; without a terminal to ask at, `--yes` is needed."""
    ids = [pending(yard.store, queue="crowd", task="t", delay_ms=HOUR_MS) for _ in range(3)]
    other = pending(yard.store, queue="other", task="t", delay_ms=HOUR_MS)

    assert run("cancel", "--queue", "crowd", "--dry-run")[:2] == (0, "3 jobs would be cancelled\n")
    code, out, err = run("cancel", "--queue", "crowd")
    assert (code, out) == (2, "")
    assert "3 jobs will be cancelled: give --yes if that is meant (nothing was done)" in err
    assert {job.state for job in yard.store.get(ids)} == {"scheduled"}
    assert run("cancel", "--queue", "crowd", "--after", "1h", "--yes")[:2] == (
        0,
        "3 jobs cancelled\n",
    )

    assert {job.state for job in yard.store.get(ids)} == {"cancelled"}
    assert yard.store.get([other])[0].state == "scheduled"
    (entry,) = yard.store.find_actions(ActionFilter(action="jobs.cancel"), 10)[0]
    assert entry.action.before["filter"]["queue"] == "crowd"
    assert entry.action.before["filter"]["created_after"].endswith("Z")
    assert entry.action.after == {"cancelled": 3, "requested": 0}


def test_a_cancellation_says_which_jobs(run):
    """None is not all, ids and a filter do not go together, and a wrong name is told with the right one."""
    for wrong in ([], ["x", "--queue", "crowd"], ["x", "--dry-run"], ["--state", "failed"]):
        assert run("cancel", *wrong)[0] == 2
    code, out, err = run("cancel", "--task", "test.ad")
    assert (code, out) == (0, "0 jobs cancelled\n")
    assert err.startswith("No job fits: no task 'test.ad'; did you mean 'test.add'")
    assert run("cancel", "--task", "test.ad", "--dry-run")[2] == err
    code, out, err = run("cancel", "nobody")
    assert (code, out, "no job 'nobody'" in err) == (3, "nobody unknown\n", True)


def test_jobs_are_counted_and_found_by_their_time(run, rows, yard):
    """With what is printed as their time, and more of them than a page if all are asked for."""
    first, second = (
        pending(yard.store, queue="timed", task="t", delay_ms=HOUR_MS, tags=["timed"])
        for _ in range(2)
    )
    shown = {row["ID"]: row["CREATED"] for row in rows("jobs", "--tag", "timed")}

    assert rows("jobs", "--tag", "timed", "--limit", "1") == rows("jobs", "--tag", "timed")[:1]
    assert len(rows("jobs", "--tag", "timed", "--limit", "1", "--all")) == 2
    assert run("jobs", "--tag", "timed", "--count")[1] == "2 jobs\n"
    assert first in run("jobs", "--tag", "timed", "--after", shown[first])[1]
    assert second not in run("jobs", "--tag", "timed", "--before", shown[second])[1]
    assert run("jobs", "--tag", "timed", "--before", "1h")[1] == ""
    counted = json.loads(run("jobs", "--queue", "timed", "--count", "-o", "json")[1])
    assert counted == {"count": 2, "is_complete": True}


def test_a_job_that_waits_is_changed(run, yard):
    """As over REST, with its checks and its entry in the audit log."""
    job_id = run("submit", tasks.echo.name, "1", "--delay", "1h")[1].strip()

    code, out, _ = run("change", job_id, "[2]", "--priority", "9", "--run-at", "2100-01-01 10:00")

    (job,) = yard.store.get([job_id])
    assert (code, out) == (0, f"{job_id} changed  priority=9  due=2100-01-01T10:00:00.000Z\n")
    assert (job.message.priority, job.message.args, rfc3339(job.run_at)) == (
        9,
        [[2]],
        "2100-01-01T10:00:00.000Z",
    )
    (entry,) = yard.store.find_actions(ActionFilter(action="job.change", target=job_id), 10)[0]
    assert entry.action.after["changed"] == ["args"]
    code, _, err = run("change", job_id, "--delay", "1m", "--run-at", "1h", "-k", "x=1")
    assert (code, err.splitlines()) == (2, ["--run-at: give --delay or --run-at, not both"])
    assert run("change", job_id)[::2] == (
        2,
        "nothing to change; give any of --run-at, --delay, --priority, ARGS, -k\n",
    )
    assert run("change", "nobody", "--priority", "1")[0] == 3


def test_records_of_jobs_that_ended_are_removed(run, yard):
    """For good, so only after a yes; one that has not ended stays."""
    ended, waiting = (
        pending(yard.store, queue="gone", task="t", delay_ms=HOUR_MS) for _ in range(2)
    )
    assert run("cancel", ended)[1] == f"{ended} cancelled\n"

    code, _, err = run("remove", ended, waiting)
    assert (code, "2 records of jobs will be removed for good: give --yes" in err) == (2, True)
    code, out, _ = run("remove", ended, waiting, "--yes")

    assert (code, out) == (1, f"{ended} removed\n{waiting} too_early scheduled\n")
    assert [job is None for job in yard.store.get([ended, waiting])] == [True, False]


def test_a_rule_is_previewed_before_there_is_a_schedule(run):
    """In UTC, and as the clocks of its zone have it; what is wrong is told by the names of options."""
    rule = ("--cron", "30 3 1 1 *", "--timezone", "Europe/Berlin", "--count", "2")

    code, out, _ = run("schedules", "preview", *rule)

    assert code == 0
    for line in out.splitlines():
        assert re.fullmatch(r"20..-01-01T02:30:00.000Z  ... 20..-01-01 03:30:00 CET", line)
    shown = json.loads(run("schedules", "preview", *rule, "-o", "json")[1])
    assert shown == {"items": [line.split("  ")[0] for line in out.splitlines()]}
    assert len(shown["items"]) == 2
    code, _, err = run("schedules", "preview", "--cron", "30 3", "--every", "1h")
    assert (code, [line.split(":")[0] for line in err.splitlines()]) == (2, ["--cron", "--every"])
    assert "give --cron or --every, not both" in err
    assert run("schedules", "preview")[0] == 2
    assert run("schedules", "preview", "nobody", "--every", "1h")[0] == 2


@pytest.fixture
def nightly(run, yard):
    """The name of a schedule that was made by the command line."""
    args = ("nightly", tasks.add.name, "1", "-k", "b=2", "--cron", "30 3 * * *", "--tag", "t")
    code, out, _ = run("schedules", "create", *args, "--missed", "skip", "--expires", "1h")
    assert (code, out.startswith("nightly created  next 20")) == (0, True)
    yield "nightly"
    run("schedules", "delete", "nightly", "--yes")


def schedule_of(yard, name):
    """Return a schedule as it was asked for."""
    return ScheduleRepository(yard.store).get(name).schedule


def test_a_schedule_is_created_with_what_rest_takes(run, yard, nightly):
    """Its arguments are checked; one of its name is not replaced."""
    found = schedule_of(yard, nightly)

    assert (found.args, found.kwargs, found.cron) == ([1], {"b": 2}, "30 3 * * *")
    assert (found.missed, found.expires_s, found.tags) == ("skip", 3600, ["t"])
    (entry,) = yard.store.find_actions(ActionFilter(action="schedule.create", target=nightly), 1)[0]
    assert entry.action.after["cron"] == "30 3 * * *"
    code, _, err = run("schedules", "create", nightly, tasks.add.name, "1", "2", "--every", "1h")
    assert (code, "there is a schedule 'nightly' already: `taskyard schedules update`" in err) == (
        1,
        True,
    )
    code, _, err = run("schedules", "create", "other", "test.ad", "--timezone", "Nowhere")
    told = [line.split(":")[0] for line in err.splitlines()]
    assert (code, sorted(told)) == (2, ["--cron", "--timezone", "TASK"])


def test_a_schedule_is_changed_where_that_is_said(run, yard, nightly):
    """What is not named stays, its pause too; another kind of timing takes the place of the old one."""
    run("schedules", "pause", nightly)

    code, out, _ = run("schedules", "update", nightly, "5", "--every", "1h", "--unset", "tags")

    found = schedule_of(yard, nightly)
    assert (code, out) == (0, "nightly changed  paused\n")
    assert (found.cron, found.every_s, found.missed, found.tags) == (None, 3600, "skip", [])
    assert (found.args, found.kwargs) == ([5], {"b": 2})
    (entry,) = yard.store.find_actions(ActionFilter(action="schedule.change", target=nightly), 1)[0]
    assert entry.action.after["changed"] == ["args"]
    assert run("schedules", "preview", nightly, "--count", "3")[1].count("\n") == 3
    assert run("schedules", "update", nightly)[0] == 2
    code, _, err = run("schedules", "update", "nihgtly", "--every", "1h")
    assert (code, err) == (3, "no schedule 'nihgtly'; did you mean 'nightly'?\n")


def test_a_secret_of_a_schedule_that_is_given_as_it_is_shown_stays(run, yard):
    """As over REST: what is shown can be copied, changed and given back."""
    secret = ("-k", "card=card-4111")
    run("schedules", "create", "charging", tasks.charge.name, *secret, "--every", "1h")

    code, _, err = run("schedules", "update", "charging", "-k", "card=***", "-k", "amount=0")

    assert (code, err) == (0, "")
    assert schedule_of(yard, "charging").kwargs == {"card": "card-4111", "amount": 0}
    run("schedules", "delete", "charging", "--yes")


def test_a_schedule_is_deleted_after_a_yes(run, yard, nightly):
    """With its history; in a script only with `--yes`."""
    code, _, err = run("schedules", "delete", nightly)
    assert (code, "1 schedule (nightly) will be removed for good: give --yes" in err) == (2, True)
    assert run("schedules", "preview", nightly)[0] == 0

    assert run("schedules", "delete", nightly, "--yes")[:2] == (0, "nightly deleted\n")

    assert run("schedules", "delete", nightly, "--yes")[0] == 3
    assert run("schedules", "trigger", nightly)[0] == 3


def test_a_queue_is_purged_after_a_yes(run, yard):
    """What is pending goes, what waits for its time stays."""
    ready = pending(yard.store, queue="full", task="t")
    waiting = pending(yard.store, queue="full", task="t", delay_ms=HOUR_MS)

    assert run("queues", "purge", "full", "--dry-run")[:2] == (0, "1 job would be cancelled\n")
    assert run("queues", "purge", "full")[0] == 2
    code, out, _ = run("queues", "purge", "full", "--yes", "-o", "json")

    assert (code, json.loads(out)) == (
        0,
        {"queue": "full", "dry_run": False, "cancelled": 1, "left": 0},
    )
    assert [job.state for job in yard.store.get([ready, waiting])] == ["cancelled", "scheduled"]
    code, _, err = run("queues", "purge", "fulll", "--yes")
    assert (code, err) == (3, "no queue 'fulll'; did you mean 'full'?\n")


def test_a_job_that_is_there_already_is_told(run):
    """By its id on standard output, and on standard error that nothing was submitted."""
    args = ("submit", tasks.echo.name, "1", "--id", "twice", "--delay", "1h", "--expires", "2h")
    assert run(*args)[:2] == (0, "twice\n")

    code, out, err = run(*args)

    assert (code, out) == (0, "twice\n")
    assert err == "twice was there already: nothing was submitted\n"
    status = json.loads(run("status", "twice", "-o", "json")[1])
    assert status["expires_at"] > status["run_at"]


def test_ended_jobs_are_retried(run, yard):
    """By id or by a filter; ids that cannot be retried make the exit code 1."""
    job_id = run("submit", tasks.add.name, "1", "--delay", "3600", "--tag", "retried")[1].strip()
    assert run("cancel", job_id)[0] == 0

    assert run("retry", "--tag", "retried", "--dry-run")[1] == "1 job would be retried\n"
    assert run("retry", job_id) == (0, f"{job_id} retried\n", "")
    assert yard.ended(job_id).state == "completed"
    assert run("retry", job_id) == (1, f"{job_id} too late: it is completed\n", "")
    assert run("retry", "--tag", "retried") == (0, "0 jobs retried\n", "No job fits.\n")
    assert run("retry")[0] == 2
    assert run("retry", job_id, "--tag", "retried")[0] == 2


def test_a_job_is_explained(run, yard):
    """For people, a line a finding and a line a stretch of its life; for programs, as JSON."""
    job = yard.submit(tasks.busy, 0.01)  # else it may take no millisecond, and no stretch
    job.get(timeout=30)

    code, out, _ = run("explain", job.id)
    assert code == 0
    assert out.splitlines()[0] == f"{job.id}  completed  {tasks.busy.name}  queue={yard.queue}"
    assert "- It completed: attempt 1 ran for" in out
    assert "running (attempt 1)" in out
    document = json.loads(run("explain", "-o", "json", job.id)[1])
    assert [each["code"] for each in document["findings"]] == ["completed"]
    assert run("explain", "no-such-job")[0] == 3


def test_a_pause_says_that_it_was_made_here(run, yard):
    """Who, when and why."""
    run("pause", "queue", yard.queue, "--reason", "to see")
    try:
        pause = yard.store.pauses("queue")[yard.queue]
        assert (pause["by"].partition(":")[0], pause["reason"]) == ("cli", "to see")
    finally:
        run("resume", "queue", yard.queue)


def test_a_pause_of_what_no_worker_tells_any_more_can_be_asked_for_again(run, yard):
    """And taken back; what there never was is told, when it is resumed too."""
    yard.store.pause("queue", "gone-queue", {"at": "2026-11-24", "by": "anna", "reason": ""})

    assert run("pause", "queue", "gone-queue") == (0, "was paused\n", "")
    assert run("resume", "queue", "gone-queue") == (0, "resumed\n", "")
    code, _, err = run("resume", "queue", "gone-queue")
    assert (code, "no queue 'gone-queue'" in err) == (3, True)


#: What a producer may call anything: it ends lines, moves the cursor, and turns around what follows.
EVIL = "x\nforged  pending\r\x1b[2J\u202e\x9b\u2028y"


@pytest.fixture
def evil(yard):
    """The id of a job, which is a dead letter too, with such names; its queue is paused for such a reason."""
    job_id = pending(yard.store, task=EVIL, queue=f"q{EVIL}", tags=[EVIL], args=[EVIL])
    pause = {"at": 0, "by": EVIL, "reason": EVIL}
    yard.store.pause("queue", f"q{EVIL}", pause)
    letter = DeadLetter(
        id=f"d{EVIL}",
        is_job=False,
        queue=f"q{EVIL}",
        task=EVIL,
        reason=EVIL,
        error_type=EVIL,
        error_message=f"{EVIL}\n{EVIL}",
        fingerprint="evil",
        attempts=0,
        failed_at_ms=1,
        first_failed_at_ms=1,
        worker=EVIL,
        priority=5,
        body_bytes=1,
        preview=EVIL,
    )
    yard.store.index_dead_letters([(letter, "{")])
    new = Action(id="evil", who=EVIL, origin="cli", action="queue.pause", target=EVIL)
    yard.store.begin_action(new, max_entries=100, ttl_s=60)
    yard.store.heartbeat(EVIL, _worker_document(), 60_000, [])
    return job_id


def _worker_document():
    return {"name": EVIL, "busy": 0, "slots": 1, "queues": [EVIL]}


@pytest.mark.parametrize(
    "command",
    [
        ["jobs"],
        ["status", "ID"],
        ["status", "ID", "-o", "json"],
        ["explain", "ID"],
        ["explain", "ID", "-o", "json"],
        ["queues"],
        ["queues", "-o", "json"],
        ["workers"],
        ["log"],
        ["log", "-o", "json"],
        ["dead-letters", "list"],
        ["dead-letters", "list", "-o", "json"],
        ["dead-letters", "groups"],
        ["dead-letters", "show", f"d{EVIL}"],
        ["dead-letters", "show", f"e{EVIL}"],
        ["status", EVIL],
        ["pause", "queue", EVIL],
        ["schedules", "show", EVIL],
        ["keys", "revoke", EVIL],
    ],
)
def test_names_of_others_make_no_lines(yard, evil, command):
    """Nor move the cursor, or turn text around, in what is told of them and in errors."""
    args = [evil if each == "ID" else each for each in command]
    output = CliRunner().invoke(main, args, env=yard.env).output

    lines = output.split("\n")
    assert "forged" in output
    assert [line for line in lines if not line.isprintable()] == []
    assert [line for line in lines if line.startswith("forged")] == []
