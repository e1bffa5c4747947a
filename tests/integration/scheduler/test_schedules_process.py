"""Schedules with real schedulers: three at once, one killed while it fires, a file that is wrong."""

import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from taskyard.schedules.repository import ScheduleRepository
from taskyard.schedules.rule import parse
from tests import worker_tasks as tasks
from tests.polling import poll
from tests.yard import CHECKOUT, Yard, kill

FAR = "2020-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def yard(make_yard) -> Yard:
    return make_yard()


@pytest.fixture(scope="module")
def working(yard):
    """A worker that runs what is fired."""
    with yard.running(yard.worker()):
        yield


def every_second(yard: Yard, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "task": tasks.add.name,
        "args": [1],
        "queue": yard.queue,
        "every_s": 1,
        "anchor_at": FAR,
        "missed": "all",
    }


def schedules_of(yard: Yard) -> ScheduleRepository:
    return ScheduleRepository(yard.store)


def fires(yard: Yard, name: str) -> list[tuple[int, str]]:
    """Return the fire times so far with their jobs, oldest first."""
    events = schedules_of(yard).history(name, 100)
    return [(e.fire_at, e.job_id or "") for e in reversed(events) if e.outcome == "fired"]


def assert_once_each(yard: Yard, name: str) -> None:
    """Each second from the first to the last fire has one job, and it ran once."""
    found = fires(yard, name)
    times = [fire_at for fire_at, _ in found]
    assert {later - earlier for earlier, later in pairwise(times)} == {1000}
    ids = [job_id for _, job_id in found]
    assert len(ids) == len(set(ids))
    for job in map(yard.ended, ids):
        assert (job.state, job.attempt) == ("completed", 1)


def test_three_schedulers_fire_each_second_once(yard, working):
    """None twice, none left out, each within a moment."""
    found = schedules_of(yard)
    with yard.running(*(yard.scheduler() for _ in range(3))):
        found.create(parse(every_second(yard, "three")))
        poll(lambda: len(fires(yard, "three")) >= 5)
        found.set_paused("three", True)

    assert_once_each(yard, "three")


def test_schedulers_that_are_killed_lose_and_double_nothing(yard, working):
    """Each is killed between its decision to fire and the word that the job is made; the next goes on."""
    found = schedules_of(yard)
    found.create(parse(every_second(yard, "killed")))
    for _ in range(4):
        scheduler = yard.scheduler()
        with yard.running(scheduler):
            catch_firing(yard, "killed")
            kill(scheduler.pid)
    with yard.running(yard.scheduler()):
        caught_up = len(fires(yard, "killed")) + 6
        poll(lambda: len(fires(yard, "killed")) >= caught_up)
        found.set_paused("killed", True)

    assert_once_each(yard, "killed")


def test_a_scheduler_that_froze_fires_nothing_twice(yard, working):
    """It stops between decision and job; another takes over, and when it goes on it finds the job there."""
    found = schedules_of(yard)
    found.create(parse(every_second(yard, "frozen")))
    first = yard.scheduler()
    with yard.running(first):
        catch_firing(yard, "frozen")
        os.kill(first.pid, signal.SIGSTOP)
        with yard.running(yard.scheduler()):
            reached = len(fires(yard, "frozen")) + 4
            poll(lambda: len(fires(yard, "frozen")) >= reached)
            os.kill(first.pid, signal.SIGCONT)
            poll(lambda: len(fires(yard, "frozen")) >= reached + 2)
            found.set_paused("frozen", True)

    assert_once_each(yard, "frozen")


def test_cancel_previous_stops_a_job_that_runs(yard, working):
    """Each fire has the one before it stopped in the middle, and the newest goes on."""
    found = schedules_of(yard)
    endless = {"task": tasks.busy.name, "args": [60], "overlap": "cancel_previous"}
    with yard.running(yard.scheduler()):
        found.create(parse({**every_second(yard, "endless"), **endless, "missed": "skip"}))
        poll(lambda: len(fires(yard, "endless")) >= 3 and has_stopped_one(yard, "endless"))
        found.set_paused("endless", True)
        ids = [job_id for _, job_id in fires(yard, "endless")]
        stopped = [yard.ended(job_id) for job_id in ids[:-1]]
        poll(lambda: yard.job_in("running", ids[-1]))

    assert {job.state.value for job in stopped} == {"cancelled"}
    # One that was cancelled before a slow worker had begun it has no attempt.
    assert all([a.outcome for a in job.attempts] <= ["cancelled"] for job in stopped)
    yard.store.cancel(ids[-1:], 3_600_000)
    assert yard.ended(ids[-1]).state == "cancelled"


def has_stopped_one(yard: Yard, name: str) -> bool:
    """Whether one of a schedule's jobs has ended while it ran."""
    return any(
        job and job.finished_at and job.attempts for job in map(yard.job, ids_of(yard, name))
    )


def ids_of(yard: Yard, name: str) -> list[str]:
    return [job_id for _, job_id in fires(yard, name)]


def catch_firing(yard: Yard, name: str) -> None:
    """Return when a fire is decided on and its job is being made: a matter of milliseconds."""
    found = schedules_of(yard)
    deadline = time.monotonic() + 60
    while found.get(name).state.firing is None:
        assert time.monotonic() < deadline


def test_a_file_declares_schedules(yard, working, tmp_path):
    """They fire after a start, and are removed by the next start when they are gone from the file."""
    path = tmp_path / "schedules.toml"
    table = "\n".join(
        f"{key} = {value!r}" for key, value in every_second(yard, "x").items() if key != "name"
    )
    path.write_text(f"[schedules.declared]\n{table}\n")
    with yard.running(yard.scheduler(SCHEDULES_FILE=str(path))):
        poll(lambda: fires_if_there(yard, "declared"))
    path.write_text("")
    with yard.running(yard.scheduler(SCHEDULES_FILE=str(path))):
        poll(lambda: yard.store.schedule("declared") is None)


def fires_if_there(yard: Yard, name: str) -> bool:
    return yard.store.schedule(name) is not None and bool(fires(yard, name))


def test_a_wrong_file_stops_the_start(yard, tmp_path):
    """With exit code 2 and every fault."""
    path = Path(tmp_path) / "schedules.toml"
    path.write_text('[schedules.a]\ntask = "t"\n[schedules.b]\ncron = "x"\n')
    env = {**os.environ, **yard.env, "SCHEDULES_FILE": str(path)}

    done = subprocess.run(
        [sys.executable, "-m", "services.scheduler"],
        env=env,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 2
    for place in ("schedules.a.cron", "schedules.b.task", "schedules.b.cron"):
        assert place in done.stderr
