"""The `taskyard dead-letters` commands, on a store with an index of dead letters."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from taskyard.cli import main
from tests.integration.letters import entry

BODY = json.dumps({"args": [1], "kwargs": {}})


@pytest.fixture
def yard(make_yard):
    """A yard with three dead jobs and a message that never was a job."""
    yard = make_yard()
    letters = [
        entry("one", yard.queue, is_job=True, failed_at_ms=1_000, reason="timeout"),
        entry("two", yard.queue, is_job=True, failed_at_ms=2_000),
        entry("three", yard.queue, is_job=True, failed_at_ms=3_000, fingerprint="g", task="other"),
        entry("stranger", yard.queue, is_job=False, failed_at_ms=4_000, fingerprint="h"),
    ]
    yard.store.index_dead_letters([(letter, BODY if letter.is_job else "") for letter in letters])
    return yard


@pytest.fixture
def run(yard):
    """A function that runs a command of the group; gives its exit code, output and error output."""

    def command(*args: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(main, ["dead-letters", *args], env=yard.env)
        return done.exit_code, done.stdout, done.stderr

    return command


def ids(run, *args):
    """Return the ids that a list shows."""
    return [line.split("  ")[0] for line in run("list", *args)[1].splitlines()[1:]]


def replay_id(out):
    """Return the id of a replay in its row."""
    return row(out)["REPLAY"]


def row(out):
    """Return the cells of the only row of a table, by column."""
    head, cells = (re.split(r" {2,}", line) for line in out.splitlines())
    return dict(zip(head, cells, strict=True))


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], ["stranger", "three", "two", "one"]),
        (["--limit", "2"], ["stranger", "three"]),
        (["--reason", "timeout"], ["one"]),
        (["--task", "other"], ["three"]),
        (["--fingerprint", "g"], ["three"]),
        (["--error-type", "none"], []),
        (["--after", "1970-01-01T00:00:02Z", "--before", "1970-01-01T00:00:03"], ["three", "two"]),
    ],
)
def test_dead_letters_are_listed(run, options, found):
    """The newest first, chosen by the filters of REST; times without a zone are in UTC."""
    assert ids(run, *options) == found


def test_a_queue_is_a_filter(run, yard):
    """Only its dead letters are listed."""
    assert len(ids(run, "--queue", yard.queue)) == 4
    assert ids(run, "--queue", "other") == []


def test_dead_letters_and_groups_are_shown(run):
    """As lines, or as the documents of REST; an unknown one has the exit code of what is not there."""
    shown = json.loads(run("show", "one", "-o", "json")[1])
    assert (shown["job_id"], shown["reason"], shown["error"]["type"]) == ("one", "timeout", "E")
    assert "encoding" in json.loads(run("show", "stranger", "-o", "json")[1])["preview"]
    assert run("show", "one")[1].splitlines()[1].split() == ["reason", "timeout"]
    listed = json.loads(run("list", "-o", "json")[1])["items"]
    assert shown == listed[-1]
    groups = json.loads(run("groups", "-o", "json")[1])["items"]
    assert [(g["fingerprint"], g["count"]) for g in groups] == [("h", 1), ("g", 1), ("f", 2)]
    assert [line.split()[:2] for line in run("groups")[1].splitlines()[1:]] == [
        *(["h", "1"], ["g", "1"], ["f", "2"]),
    ]

    code, _, err = run("show", "nobody")

    assert (code, "no dead letter 'nobody'" in err) == (3, True)


def test_a_replay_takes_the_jobs_that_fit(run, yard):
    """A dry run counts and starts none; rate and canary are kept, and what never was a job is left out."""
    options = ["--queue", yard.queue, "--fingerprint", "f"]
    assert run("replay", *options, "--dry-run")[:2] == (0, "2 to replay\n")
    assert yard.store.newest_replays()[0] == []

    code, out, _ = run("replay", *options, "--rate", "5", "--canary", "1", "--yes")

    (replay,) = yard.store.newest_replays()[0]
    assert (0, replay.id) == (code, replay_id(out))
    assert (replay.total, replay.rate_per_s, replay.canary) == (2, 5, 1)
    (shown,) = json.loads(run("replays", replay.id, "-o", "json")[1])["items"]
    assert shown["asked"]["filter"] == {"queue": yard.queue, "fingerprint": "f"}
    assert run("replay", "--all")[:2] == (2, "")
    assert row(run("replay", "--all", "--yes")[1])["TOTAL"] == "3"


def test_single_jobs_are_replayed(run, yard):
    """By their ids, each once; all that is wrong with the ids is named."""
    assert row(run("replay", "one", "two", "one")[1])["TOTAL"] == "2"

    code, _, err = run("replay", "stranger", "nobody")

    assert code == 2
    assert err.splitlines()[:2] == [
        "'stranger' never was a job: resubmit it, corrected",
        "no dead letter 'nobody'",
    ]
    assert run("purge", "nobody", "--yes")[0] == 3


def test_a_replay_is_stopped(run, yard):
    """It is listed with its state; one that is not there is told."""
    started = replay_id(run("replay", "--all", "--yes")[1])
    assert (row(run("replays")[1])["REPLAY"], row(run("replays")[1])["STATE"]) == (
        started,
        "running",
    )

    assert row(run("stop", started)[1])["STATE"] == "stopped"

    assert yard.store.replays([started])[0].state == "stopped"
    assert run("stop", "nobody")[0] == 3
    assert run("replays", "nobody")[0] == 3


def test_dead_letters_are_purged(run):
    """A dry run only counts; those that were never jobs go too."""
    assert run("purge", "--reason", "timeout", "--dry-run")[:2] == (0, "1 to purge\n")
    assert len(ids(run)) == 4

    assert run("purge", "--reason", "timeout", "--yes")[:2] == (0, "1 purged\n")
    assert run("purge", "stranger")[:2] == (2, "")
    assert run("purge", "stranger", "--yes")[:2] == (0, "1 purged\n")

    assert ids(run) == ["three", "two"]
    assert run("purge", "--all", "--yes")[:2] == (0, "2 purged\n")


def test_what_fits_is_purged_only_if_that_is_said(run):
    """Without a terminal to ask at, `--yes` is needed; the refusal tells how many would go."""
    code, out, err = run("purge", "--all")

    assert (code, out) == (2, "")
    assert (
        "4 dead letters will be removed for good, with the records of their jobs: give --yes" in err
    )
    assert len(ids(run)) == 4


@pytest.mark.parametrize(("answer", "left", "said"), [("n", 4, "Aborted!"), ("y", 0, "4 purged")])
def test_a_purge_asks_at_the_terminal(run, yard, answer, left, said):
    """It goes on after a yes, and only then."""
    terminal, end = pty.openpty()
    command = [str(Path(sys.executable).with_name("taskyard")), "dead-letters", "purge", "--all"]
    with subprocess.Popen(
        command, env=os.environ | yard.env, stdin=end, stdout=end, stderr=end
    ) as asking:
        os.close(end)
        os.write(terminal, f"{answer}\n".encode())
        asking.wait(timeout=60)
    shown = os.read(terminal, 4096).decode()
    os.close(terminal)

    assert "Go on? [y/N]" in shown
    assert said in shown
    assert len(ids(run)) == left


@pytest.mark.parametrize("command", ["replay", "purge"])
def test_nothing_is_taken_unless_it_is_said_which(run, command):
    """No options are not all, and ids and options together are a mistake."""
    for wrong in ([], ["one", "--task", "echo"], ["one", "--all"], ["--all", "--task", "echo"]):
        assert run(command, *wrong)[0] == 2
    assert len(ids(run)) == 4


def test_what_was_done_is_in_the_audit_log(run, yard):
    """Starts, stops and purges; no dry run, and nothing that changed nothing."""
    run("purge", "--all", "--dry-run")
    run("purge", "--task", "nothing")
    started = replay_id(run("replay", "one")[1])
    run("stop", started)
    run("stop", started)
    run("purge", "--task", "other", "--yes")

    out = CliRunner().invoke(main, ["log", "-o", "json"], env=yard.env).stdout

    told = json.loads(out)["items"][::-1]
    assert [(each["action"], each["target"]) for each in told] == [
        ("replay.start", started),
        ("replay.stop", started),
        ("dead_letters.purge", None),
    ]
    assert told[0]["before"] == {"ids": ["one"], "count": 1}
    assert (told[2]["before"], told[2]["after"]) == ({"filter": {"task": "other"}}, {"removed": 1})
