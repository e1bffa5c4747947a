"""The development stack with real servers, and the runner with stand-ins for the services."""

import base64
import http.client
import json
import os
import shlex
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from taskyard.local_servers import Process, Servers
from taskyard.local_servers.leftovers import MARK, find_leftovers
from taskyard.local_servers.ports import choose_port
from taskyard.local_servers.waiting import wait_for
from tests.polling import poll

STAND_IN = """
import http.server, os, signal, subprocess, sys, threading

NAME = sys.argv[0].split("/")[-2]
if os.environ.get("BROKEN") == NAME:
    sys.exit("cannot go on")


class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, *_):
        pass


def stop(*_):
    if os.environ.get("STUBBORN") == NAME:
        print("not yet")
    else:
        threading.Thread(target=server.shutdown).start()


port = os.environ["API_PORT" if NAME == "api" else "METRICS_PORT"]
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Ready)
signal.signal(signal.SIGTERM, stop)
subprocess.Popen(["sleep", "600"])
print("pid", os.getpid(), flush=True)
server.serve_forever()
print("stopped")
"""

# Addresses where something listens that the stand-ins never talk to; with them the runner starts no servers.
GIVEN: dict[str, str] = {}


@pytest.fixture(scope="module", autouse=True)
def given():
    """Servers that the user has brought, as far as the runner looks at them."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=100) as broker,
        socket.create_server(("127.0.0.1", 0), backlog=100) as store,
    ):
        GIVEN["BROKER_URL"] = f"amqp://guest:pass-word@127.0.0.1:{broker.getsockname()[1]}/"
        GIVEN["RESULT_BACKEND"] = f"redis://:pass-word@127.0.0.1:{store.getsockname()[1]}/0"
        yield


class Runner(Process):
    """`make run` in a checkout of stand-ins, ready once it says so."""

    def __init__(self, checkout, **env):
        self.checkout = checkout
        self.lines: list[str] = []
        super().__init__(
            "runner",
            [sys.executable, "-m", "tools.run"],
            stack=checkout / "outer",
            env={"API_PORT": str(choose_port()), **GIVEN, **env},
            cwd=checkout,
            on_line=self.lines.append,
            grace_s=30,
        )

    def is_ready(self):
        return any("taskyard is ready" in line for line in self.lines)

    def fail(self):
        """Run until it gives up; return what it printed."""
        self.start()
        assert wait_for(lambda: not self.is_running, timeout_s=30)
        assert self.obituary().startswith("runner exited with 1")
        return "\n".join(self.lines)

    def end(self, number=signal.SIGTERM):
        """Ask it to stop and return its exit code in words."""
        self.send(number)
        assert wait_for(lambda: not self.is_running, timeout_s=60)
        return self.obituary().splitlines()[0]

    def pid_of(self, service):
        """Return the process id that a stand-in has printed."""
        line = next(line for line in self.lines if line.startswith(service) and "pid" in line)
        return int(line.split()[-1])

    def left_behind(self):
        return find_leftovers(self.checkout / ".run")


class StartingRunner(Runner):
    """A runner that counts as ready once it has begun."""

    def is_ready(self):
        return bool(self.lines)


@pytest.fixture
def checkout(tmp_path):
    for name in ("api", "worker", "scheduler"):
        folder = tmp_path / "services" / name
        folder.mkdir(parents=True)
        (folder / "__main__.py").write_text(STAND_IN)
    (tmp_path / "tools").symlink_to(Path("tools").resolve())
    return tmp_path


def redis_says(redis_server, command):
    """Return the first line that Redis answers."""
    with socket.create_connection(("127.0.0.1", redis_server.port), timeout=30) as connection:
        connection.sendall(f"{command}\r\n".encode())
        return connection.makefile().readline().strip()


def management(rabbit, method, path, body=None):
    """Return the status that RabbitMQ's management API answers with."""
    connection = http.client.HTTPConnection("127.0.0.1", rabbit.management_port, timeout=30)
    password = base64.b64encode(b"guest:guest").decode()
    connection.request(method, path, body=body, headers={"Authorization": f"Basic {password}"})
    status = connection.getresponse().status
    connection.close()
    return status


def others_may_read(folder):
    """Return what in a folder is not its owner's alone."""
    return [each for each in folder.rglob("*") if each.stat().st_mode & 0o077]


# --- Servers --------------------------------------------------------------------------------------


def test_servers_keep_their_data_and_leave_no_process(tmp_path, rabbit, redis_server):
    """A stop and a new start on other ports find the same queue and key; servers elsewhere have neither."""
    durable = json.dumps({"durable": True})
    with Servers(tmp_path) as first:
        assert management(first.rabbit, "PUT", "/api/queues/%2F/kept", durable) == 201
        assert redis_says(first.redis, "SET kept yes") == "+OK"
        assert management(rabbit, "GET", "/api/queues/%2F/kept") == 404
        assert redis_says(redis_server, "EXISTS kept") == ":0"
        assert others_may_read(tmp_path / "redis") == []
        assert others_may_read(tmp_path / "rabbitmq" / "data") == []
        for folder in ("redis", "rabbitmq"):
            assert (tmp_path / folder).stat().st_mode & 0o777 == 0o700
    assert find_leftovers(tmp_path) == []

    second = Servers(tmp_path)
    try:
        second.start()
        assert second.env != first.env
        assert management(second.rabbit, "GET", "/api/queues/%2F/kept") == 200
        assert redis_says(second.redis, "EXISTS kept") == ":1"
    finally:
        second.kill()
    assert find_leftovers(tmp_path) == []


def test_servers_are_found_by_their_mark(rabbit, redis_server):
    """The run after one that was killed ends its servers too."""
    for server in (rabbit, redis_server):
        assert server.pid in find_leftovers(Path(server.env[MARK]))


def test_a_paused_store_answers_again_when_resumed(redis_server):
    """A frozen server keeps its port and says nothing."""
    redis_server.pause()
    try:
        assert not redis_server.is_ready()
    finally:
        redis_server.resume()

    poll(redis_server.is_ready)


def open_files(pid):
    """Return what a process's descriptors stand for; one may be closed while they are listed."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            yield str(link.readlink())


def test_servers_listen_on_loopback_only(rabbit, redis_server):
    """Nothing of the stack can be reached from another machine."""
    ours = {rabbit.pid, redis_server.pid}
    inodes = {name for pid in ours for name in open_files(pid)}
    listening = [
        fields[1]
        for table in ("tcp", "tcp6")
        for fields in map(str.split, Path(f"/proc/net/{table}").read_text().splitlines()[1:])
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes
    ]

    assert len(listening) >= 5
    assert {address.split(":")[0] for address in listening} == {"0100007F"}


# --- The runner -----------------------------------------------------------------------------------


def test_the_runner_starts_everything_and_leaves_nothing(checkout):
    """From nothing to ready and back to nothing, with servers of its own."""
    with Runner(checkout, BROKER_URL="", RESULT_BACKEND="") as runner:
        addresses = (checkout / ".run" / "env").read_text()
        for name in ("API_URL", "BROKER_URL", "RESULT_BACKEND", "RABBITMQ_MANAGEMENT_URL"):
            assert f"export {name}=" in addresses

        assert runner.end() == "runner exited with 0; its last lines:"

    assert not (checkout / ".run" / "env").exists()
    assert runner.left_behind() == []


def env_of(checkout):
    """Return what a shell has after `source ./.run/env`."""
    lines = (checkout / ".run" / "env").read_text().splitlines()
    exports = [line.removeprefix("export ") for line in lines if line.startswith("export ")]
    return {name: shlex.split(text)[0] for name, _, text in (e.partition("=") for e in exports)}


def test_a_run_in_a_shell_with_its_own_addresses_has_its_own_servers_there_again(checkout):
    """`source ./.run/env`, then `make run`; a port that is taken meanwhile is told and replaced."""
    with Runner(checkout, RESULT_BACKEND="") as runner:
        first = env_of(checkout)
        assert runner.end().startswith("runner exited with 0")

    address = first["RESULT_BACKEND"]
    with Runner(checkout, RESULT_BACKEND=address) as runner:
        assert "Starting redis" in runner.lines
        assert env_of(checkout) == {**first, "API_URL": env_of(checkout)["API_URL"]}
        assert runner.end().startswith("runner exited with 0")

    port = urlsplit(address).port
    with (
        socket.create_server(("127.0.0.1", port)),
        Runner(checkout, RESULT_BACKEND=address) as runner,
    ):
        other = urlsplit(env_of(checkout)["RESULT_BACKEND"]).port
        assert runner.end().startswith("runner exited with 0")
    told = next(line for line in runner.lines if f"Port {port} is taken" in line)
    assert other != port
    assert f"port {other}" in told
    assert ".run/env" in told


def test_servers_that_do_not_answer_are_refused_before_anything_starts(checkout, tmp_path):
    """Both at once, by address and variable, whichever form it has."""
    broker, store = choose_port(), choose_port()
    secret = tmp_path / "secret"
    secret.write_text(f"redis://:pass-word@127.0.0.1:{store}/0\n")

    message = Runner(
        checkout,
        BROKER_URL=f"amqp://u:pass-word@127.0.0.1:{broker},127.0.0.1/v",
        RESULT_BACKEND="",
        RESULT_BACKEND_FILE=str(secret),
    ).fail()

    assert f"RabbitMQ at 127.0.0.1:{broker},127.0.0.1:5672 does not answer" in message
    assert f"Redis at 127.0.0.1:{store} does not answer" in message
    assert "unset BROKER_URL" in message
    assert "unset RESULT_BACKEND_FILE" in message
    assert "Starting" not in message
    assert "pass-word" not in message


def test_services_start_worker_first_and_stop_in_reverse(checkout):
    """The worker writes the catalogue that the API reads, and outlives those that give it work.

    Servers that the user has brought are named, without passwords, which the file for other terminals has.
    """
    with Runner(checkout) as runner:
        assert env_of(checkout).items() >= GIVEN.items()
        assert runner.end(signal.SIGINT).startswith("runner exited with 0")

    services = [line.split()[0] for line in runner.lines if "pid" in line]
    stopped = [line.split()[0] for line in runner.lines if line.endswith("| stopped")]
    assert services[0] == "worker"
    assert stopped == ["api", "scheduler", "worker"]
    for server, variable in (("RabbitMQ", "BROKER_URL"), ("Redis", "RESULT_BACKEND")):
        place = GIVEN[variable].rpartition("@")[2].partition("/")[0]
        assert f"Using {server} at {place} ({variable})" in runner.lines
    assert not any("pass-word" in line for line in runner.lines)
    assert runner.left_behind() == []


def test_a_second_run_in_the_same_checkout_is_refused(checkout):
    """It says which process to stop, and does not disturb the first."""
    with Runner(checkout) as runner:
        message = Runner(checkout).fail()

        assert f"process {runner.pid}" in message
        assert runner.is_running


def test_a_taken_port_is_refused_before_anything_starts(checkout):
    """The message names the port and the variable."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        message = Runner(checkout, API_PORT=port).fail()

    assert f"port {port}" in message
    assert "API_PORT" in message
    assert "Starting" not in message


def test_a_service_that_cannot_start_ends_the_run_with_its_words(checkout):
    """The user need not look for a log."""
    runner = Runner(checkout, BROKEN="scheduler")

    message = runner.fail()

    assert "scheduler exited with 1" in message
    assert "  cannot go on" in message
    assert runner.left_behind() == []


def test_a_service_that_dies_later_ends_the_run(checkout):
    """Half a stack would only confuse."""
    with Runner(checkout) as runner:
        os.kill(runner.pid_of("worker"), signal.SIGKILL)
        assert wait_for(lambda: not runner.is_running, timeout_s=30)

    assert runner.obituary().startswith("runner exited with 1")
    assert any("worker was ended by SIGKILL" in line for line in runner.lines)
    assert runner.left_behind() == []


def test_a_run_that_was_killed_is_cleared_away_by_the_next(checkout):
    """`kill -9` of the runner leaves its services; they would keep ports and data."""
    with Runner(checkout) as killed:
        killed.kill()
    assert killed.left_behind()

    with Runner(checkout) as runner:
        assert any("of an earlier run" in line for line in runner.lines)
        assert runner.end().startswith("runner exited with 0")

    assert runner.left_behind() == []


def test_a_stop_during_the_start_is_clean(checkout):
    """The user need not wait until all is ready to stop it."""
    with StartingRunner(checkout, BROKER_URL="", RESULT_BACKEND="") as runner:
        assert runner.end().startswith("runner exited with 0")

    assert not any("Starting worker" in line for line in runner.lines)
    assert runner.left_behind() == []


def test_a_second_request_kills_what_is_stubborn(checkout):
    """Nobody waits 35 seconds for a task that hangs."""
    with Runner(checkout, STUBBORN="worker") as runner:
        runner.send(signal.SIGTERM)
        assert wait_for(lambda: "worker    | not yet" in runner.lines, timeout_s=20)

        assert runner.end().startswith("runner exited with 0")

    assert runner.left_behind() == []
