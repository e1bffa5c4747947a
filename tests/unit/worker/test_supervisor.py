"""The supervisor: how ends are told, when a child is started again, and signals at any moment."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

from services.worker.child_handle import HEALTHY_S, RESTART_MAX_S, RESTART_MIN_S, ChildHandle
from services.worker.exits import exit_label, exit_reason
from tests.polling import poll

#: A supervisor whose children do as BEHAVIOUR says; each line that is printed tells what happened.
PROGRAM = """
import itertools, logging, os, signal, sys, time
from pathlib import Path
from services.worker import child_handle, supervisor
from services.worker.supervisor import Supervisor
from taskyard import config
from taskyard.telemetry.health import HealthServer
from taskyard.runtime.lifecycle import StopRequest
from prometheus_client import CollectorRegistry

child_handle.RESTART_MIN_S = float(os.environ.get("RESTART_MIN_S", "0.5"))
child_handle.RESTART_MAX_S = max(0.02, child_handle.RESTART_MIN_S)
supervisor.STOP_MARGIN_S = 1.0
folder = Path(sys.argv[1])
failing_forks = int(os.environ.get("FAILING_FORKS", "0"))
fork = os.fork


def fork_or_fail():
    global failing_forks
    failing_forks -= 1
    if failing_forks >= 0:
        raise BlockingIOError(11, "no process is left")
    return fork()


os.fork = fork_or_fail
logging.basicConfig(level="INFO", format="%(message)s", stream=sys.stdout)


def say(*words):
    os.write(1, (" ".join(map(str, words)) + chr(10)).encode())  # whole lines, whoever else writes


def take_number():
    for number in itertools.count():
        try:
            (folder / str(number)).touch(exist_ok=False)  # two children may begin at the same moment
        except FileExistsError:
            continue
        return number


def leave(pipe, code, **facts):
    pipe.send({"problems": ["gone"], "has_left": True, **facts})
    os._exit(code)


def run_child(settings, index, owner, pipe, is_lone):
    stopping = StopRequest()
    signal.signal(signal.SIGTERM, lambda *_: (say("child got SIGTERM"), stopping.set()))
    signal.signal(signal.SIGQUIT, lambda *_: (say("child got SIGQUIT"), leave(pipe, 0)))
    say("child runs", index, os.getpid(), owner)
    number = take_number()
    behaviour = sys.argv[2].split(",")[min(number, sys.argv[2].count(","))]
    if behaviour == "silent":
        pipe.send({"problems": []})
        time.sleep(60)
    elif behaviour == "retire":
        pipe.send({"problems": [], "leaving": "had enough"})
        leave(pipe, 0)
    elif behaviour.startswith("fault"):
        leave(pipe, 2, fault=behaviour)
    elif behaviour.startswith("busy"):
        beat = {"problems": [], "task_facts": {"queues": ["q"], "tasks": {"q": ["add"]}}}
        while not stopping.is_set():
            is_calm = (folder / "calm").exists()
            pipe.send({**beat, "silent": [] if is_calm else ["ends"]})
            stopping.wait(0.05)
    elif behaviour.startswith("leave"):
        leave(pipe, int(behaviour[5:]))
    elif behaviour.startswith("exit"):
        os._exit(int(behaviour[4:]))
    elif behaviour.startswith("signal"):
        os.kill(os.getpid(), int(behaviour[6:]))
        time.sleep(60)
    else:
        while not stopping.is_set():
            pipe.send({"problems": [] if behaviour == "works" else [behaviour]})
            stopping.wait(0.05)
        if behaviour == "lingers":
            time.sleep(60)
    leave(pipe, 0)


def server(sick, unready):
    made = HealthServer("127.0.0.1", 0, registry=CollectorRegistry(), sick=sick, unready=unready)
    say("port", made.port)
    return made


def end_lease(settings, owner, reason, is_own_death):
    say("lease ended", owner, "own death:" if is_own_death else "killed:", reason)
    return False


sys.exit(Supervisor(config.load(), server, run_child, end_lease).run())
"""


class Running:
    """A supervisor in a process of its own, and what it has printed."""

    def __init__(self, folder, behaviour, **env):
        folder.mkdir()
        self.folder = folder
        self.output = folder.parent / f"{folder.name}.txt"
        with self.output.open("a") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(folder), behaviour],
                env={
                    **os.environ,
                    "PYTHONPATH": "shared:.",
                    "WORKER_PROCESSES": "1",
                    "SHUTDOWN_GRACE": "30",
                    "HEARTBEAT_S": "0.3",
                    "LEASE_S": "1",
                    **env,
                },
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def lines(self, part):
        """Return the lines that contain a text."""
        return [line for line in self.output.read_text().splitlines() if part in line]

    def child_runs(self, count):
        poll(lambda: len(self.lines("child runs")) >= count)
        return int(self.lines("child runs")[count - 1].split()[3])

    def end(self, number=signal.SIGTERM, timeout_s=10.0):
        self.process.send_signal(number)
        return self.process.wait(timeout_s)


@pytest.fixture
def supervise(tmp_path):
    """A function that starts a supervisor, which is gone after the test."""
    started: list[Running] = []

    def start(behaviour="works", **env):
        started.append(Running(tmp_path / f"run{len(started)}", behaviour, **env))
        return started[-1]

    yield start
    for each in started:
        for line in each.lines("child runs"):
            try:
                os.kill(int(line.split()[3]), signal.SIGKILL)
            except ProcessLookupError:
                continue
        each.process.kill()
        each.process.wait(30)


# How an end is told


@pytest.mark.parametrize(
    ("code", "leaving", "has_left", "told", "label"),
    [
        (0, "", True, "stopped", "stopped"),
        (0, "stopped", True, "stopped", "stopped"),
        (0, "100 jobs done", True, "100 jobs done", "retired"),
        (0, "", False, "exit code 0", "error"),
        (0, "100 jobs done", False, "exit code 0", "error"),
        (1, "", False, "exit code 1", "error"),
        (2, "", True, "exit code 2", "configuration"),
        (2, "stopped", False, "exit code 2", "error"),
        (-9, "", False, "killed by SIGKILL", "SIGKILL"),
        (-11, "100 jobs done", False, "killed by SIGSEGV", "SIGSEGV"),
        (-signal.SIGRTMIN - 1, "", False, "killed by signal 35", "signal 35"),
        (None, "", False, "exit code None", "error"),
    ],
)
def test_an_end_is_told_in_words(code, leaving, has_left, told, label):
    """A signal by its name, if it has one; a code counts as what it means only with a farewell."""
    assert exit_reason(code, leaving, has_left=has_left) == told
    assert exit_label(code, leaving, has_left=has_left) == label


# When a child is started again


def test_children_that_fail_at_their_start_are_started_ever_later():
    """Up to a bound; one that has lived is started at once, and so is one that has left in order."""
    handle = ChildHandle(0)

    def pause(code, lived_s=0.0, **facts):
        handle.started_at = time.monotonic() - lived_s
        handle.has_left = facts.get("has_left", False)
        return handle.restart_pause_s(code, had_jobs=facts.get("had_jobs", False))

    pauses = [pause(1) for _ in range(12)]
    assert [RESTART_MIN_S * 2**n for n in range(6)] == pauses[:6]
    assert RESTART_MAX_S == pauses[-1] == max(pauses)
    assert pause(0, has_left=True) == 0
    assert pause(0) == RESTART_MIN_S
    assert pause(-9) == 2 * RESTART_MIN_S
    assert pause(2, has_left=True) == 4 * RESTART_MIN_S
    assert [pause(-9, had_jobs=True) for _ in range(3)] == [RESTART_MIN_S] * 3
    assert pause(-9) == RESTART_MIN_S
    assert pause(-9, lived_s=HEALTHY_S + 1) == 0
    assert pause(1) == RESTART_MIN_S


def test_each_end_is_followed_by_a_new_child(supervise):
    """Killed, failed, retired: and only those that did not leave in order lose their lease."""
    running = supervise("signal9,exit1,exit0,exit2,retire,works", RESTART_MIN_S="0.01")
    running.child_runs(6)

    told = [line.removeprefix("child ended: ") for line in running.lines("child ended")]
    deaths = ["killed by SIGKILL", "exit code 1", "exit code 0", "exit code 2"]
    assert told == [*deaths, "had enough"]
    owners = [line.split()[4] for line in running.lines("child runs")]
    assert len(set(owners)) == 6
    assert running.lines("lease ended") == [
        f"lease ended {owner} own death: {death}"
        for owner, death in zip(owners, deaths, strict=False)
    ]
    assert running.end() == 0


def trickle(port, begun, ended):
    """Send byte after byte, so that no pause is long, until the test ends."""
    client = socket.create_connection(("127.0.0.1", port))
    while not ended.wait(0.05):
        with suppress(OSError):
            client.sendall(b"x")
        begun.set()
    client.close()


def test_a_slow_client_of_its_port_is_in_the_way_of_nothing(supervise):
    """A child that dies meanwhile is replaced, and a signal is heard."""
    running = supervise(RESTART_MIN_S="0.01")
    pid = running.child_runs(1)
    begun, ended = threading.Event(), threading.Event()
    port = int(running.lines("port")[0].split()[1])
    client = threading.Thread(target=trickle, args=(port, begun, ended))
    client.start()
    try:
        assert begun.wait(30)
        os.kill(pid, signal.SIGKILL)

        running.child_runs(2)
        assert running.end() == 0
    finally:
        ended.set()
        client.join()


def test_a_child_that_cannot_be_started_is_tried_again(supervise):
    """As where no process is left; the supervisor goes on, and says what it waits for."""
    running = supervise(FAILING_FORKS="2", RESTART_MIN_S="0.01")

    running.child_runs(1)

    assert len(running.lines("child cannot be started")) == 2
    assert running.end() == 0


def test_a_child_killed_by_a_nameless_signal_is_replaced_too(supervise):
    """The supervisor outlives any way to die."""
    running = supervise(f"signal{signal.SIGRTMIN + 3},works", RESTART_MIN_S="0.01")

    running.child_runs(2)
    assert running.lines("child ended") == ["child ended: killed by signal 37"]
    assert running.end() == 0


def test_a_silent_child_is_killed_before_its_lease_ends(supervise):
    """One whose threads all stand still, after it has worked."""
    running = supervise("silent,works", RESTART_MIN_S="0.01")

    running.child_runs(2)
    assert running.lines("child ended") == ["child ended: killed by SIGKILL"]
    assert len(running.lines("killed: killed by SIGKILL")) == 1  # none of its jobs did that
    assert running.end() == 0


def test_settings_that_no_child_can_use_end_the_worker(supervise):
    """A person has to mend them: with the children's exit code."""
    running = supervise("leave2", WORKER_PROCESSES="3")

    assert running.process.wait(30) == 2


def test_what_all_children_tell_is_logged_once(supervise):
    """What they know, that they serve, and that there are too many ends for a line each, or no longer."""
    secret = {
        "BROKER_URL": "amqp://me:hush@one:1,two:2/",
        "RESULT_BACKEND": "redis://:hush@three:3/1",
    }
    running = supervise("busy", WORKER_PROCESSES="3", **secret)
    running.child_runs(3)
    poll(lambda: running.lines("more than"))
    (running.folder / "calm").touch()
    poll(lambda: running.lines("one by one again"))

    assert running.end() == 0
    phrases = (
        "worker starts",
        "worker knows its tasks",
        "worker serves",
        "more than",
        "one by one again",
    )
    assert [len(running.lines(each)) for each in phrases] == [1] * 5
    (told,) = running.lines("more than")
    metrics = "ends are no longer logged one by one; metrics have them"
    assert told == f"more than 10/s in a process: {metrics}"
    assert running.lines("hush") == []


def test_why_no_child_can_start_is_told_once_and_ends_the_worker(supervise):
    """Each child finds the same, such as a task module that cannot be imported."""
    running = supervise("fault in line 2", WORKER_PROCESSES="3")

    assert running.process.wait(30) == 2
    assert running.lines("line 2") == ["worker cannot start: fault in line 2"]
    assert running.lines("child ended") == []


def test_a_fault_that_comes_later_is_told_once_for_each_change(supervise):
    """The other children go on; each try meets it, until somebody mends it or makes another."""
    first, second = ",fault in line 2" * 3, ",fault in line 3" * 2
    running = supervise(
        f"works,signal9{first}{second},works,signal9{second},works", RESTART_MIN_S="0.01"
    )
    pid = running.child_runs(1)
    poll(lambda: running.lines("port"))
    poll(lambda: is_ready(running))
    os.kill(pid, signal.SIGKILL)
    again = running.child_runs(8)
    poll(lambda: running.lines("children can start again"))
    os.kill(again, signal.SIGKILL)
    running.child_runs(12)
    poll(lambda: len(running.lines("children can start again")) == 2)

    told = [line for line in running.lines("children") if "child runs" not in line]
    not_replaced = "children that end are not replaced: fault in line"
    mended = "children can start again"
    assert told == [f"{not_replaced} 2", f"{not_replaced} 3", mended, f"{not_replaced} 3", mended]
    assert running.end() == 0


def test_unusable_settings_later_on_do_not(supervise):
    """As in the middle of a deploy: what has worked may work again."""
    running = supervise("works,leave2,works", RESTART_MIN_S="0.01")
    first = running.child_runs(1)
    poll(lambda: running.lines("port"))
    poll(lambda: is_ready(running))

    os.kill(first, signal.SIGKILL)
    running.child_runs(3)
    assert running.process.poll() is None
    assert running.end() == 0


def is_ready(running):
    """Whether `/readyz` says so."""
    from taskyard.local_servers.probes import http_status

    (line,) = running.lines("port")
    return http_status(int(line.split()[1]), "/readyz") == 200


def test_readiness_is_that_of_every_child(supervise):
    """Each child's problems are shown with its name."""
    running = supervise("works,no queue", WORKER_PROCESSES="2")
    running.child_runs(2)

    assert not is_ready(running)
    assert running.end() == 0


# Signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_all_children_once(supervise, number):
    """Each hears SIGTERM, whichever the supervisor got."""
    running = supervise(WORKER_PROCESSES="3")
    running.child_runs(3)
    poll(lambda: running.lines("port"))

    assert running.end(number) == 0
    assert len(running.lines("child got SIGTERM")) == 3
    assert running.lines("child got SIGQUIT") == []


def test_the_second_signal_says_that_the_grace_is_over(supervise):
    """So the child need not count."""
    running = supervise("lingers")
    running.child_runs(1)

    running.process.send_signal(signal.SIGTERM)
    poll(lambda: running.lines("child got SIGTERM"))
    assert running.end() == 0
    assert len(running.lines("child got SIGQUIT")) == 1


def test_a_child_that_does_not_stop_is_killed_past_the_grace(supervise):
    """With the margin for its last answers."""
    running = supervise("lingers", SHUTDOWN_GRACE="0", LEASE_S="30")
    running.child_runs(1)

    began = time.monotonic()
    assert running.end() == 0
    assert 1 <= time.monotonic() - began < 5
    assert len(running.lines("killed: killed by SIGKILL")) == 1


@pytest.mark.parametrize("round_number", range(12))
def test_a_signal_while_children_come_and_go_stops_all(supervise, round_number):
    """Children die and are forked at any moment; none misses it, and the supervisor never fails."""
    running = supervise("exit1", WORKER_PROCESSES="4", RESTART_MIN_S="0.001")
    running.child_runs(4 + 7 * round_number)

    assert running.end() in (0, -signal.SIGTERM)
    assert running.lines("Traceback") == []


def test_children_that_begin_to_run_are_stopped_too(supervise):
    """The signal may come between fork and handler: the child ends, and nobody else hears of it."""
    for _ in range(5):
        running = supervise("works,works,works,works", WORKER_PROCESSES="4")
        running.child_runs(1)

        assert running.end() == 0
        assert running.lines("child got SIGQUIT") == []
        assert running.lines("Traceback") == []
