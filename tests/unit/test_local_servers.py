"""The development stack's pieces that need neither RabbitMQ nor Redis."""

import ast
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from taskyard.local_servers import ports, programs
from taskyard.local_servers.errors import LocalServerError
from taskyard.local_servers.leftovers import end_leftovers, find_leftovers
from taskyard.local_servers.probes import answers, http_status
from taskyard.local_servers.process import Process
from taskyard.local_servers.waiting import wait_for
from tools import install_packages
from tools.run.addresses import greeting, write_env_file
from tools.run.console import Console
from tools.run.kept_ports import KeptPorts
from tools.run.lock import locked
from tools.run.service import Service
from tools.run.settings import read_settings
from tools.run.stop_requests import StopRequested, StopRequests

ROOT = Path(__file__).parents[2]
STUBBORN = "import signal, time; signal.signal(15, lambda *_: None); print('up'); time.sleep(600)"
CHOOSER = (
    "import time; from taskyard.local_servers.ports import choose_port; print(choose_port());"
    "time.sleep(600)"
)
WITH_CHILD = "import subprocess; print('up'); subprocess.run(['sleep', '600'])"


class Script(Process):
    """A Python one-liner, ready once it has printed something."""

    def __init__(self, code, *, stack, **options):
        self.lines: list[str] = []
        super().__init__(
            "script",
            [sys.executable, "-uc", code],
            stack=stack,
            on_line=self.lines.append,
            **options,
        )

    def is_ready(self):
        return bool(self.lines)


class NeverReady(Script):
    """A script whose probe always says no."""

    def is_ready(self):
        return False


class Terminal(io.StringIO):
    """A stream that calls itself a terminal."""

    def isatty(self):
        return True


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "services").mkdir()
    (tmp_path / "tools").symlink_to(ROOT / "tools")
    return tmp_path


def test_the_stack_needs_nothing_but_the_standard_library():
    """It must run before the project's dependencies do, and can be read without the library."""
    files = [
        *(ROOT / "shared/taskyard/local_servers").glob("*.py"),
        *(ROOT / "tools/run").glob("*.py"),
    ]
    trees = [ast.parse(path.read_text()) for path in files]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    imported = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}

    foreign = {name for name in imported if name.split(".")[0] not in sys.stdlib_module_names}
    assert all(name.startswith(("taskyard.local_servers", "tools")) for name in foreign)


def test_make_runs_no_module_that_its_package_has_imported():
    """Python warns of it, and would have the module twice."""
    makefile = (ROOT / "Makefile").read_text()

    for module in re.findall(r"python -m ((?:taskyard|tools)\.[\w.]+)", makefile):
        code = f"import sys, {module.rpartition('.')[0]}; sys.exit({module!r} in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code]).returncode == 0, module


def test_a_folder_that_cannot_be_written_to_is_told_in_one_line(checkout):
    """Its path is what the user needs, not a traceback."""
    (checkout / ".run").write_text("a file, which not even root can make files in")

    done = subprocess.run(
        [sys.executable, "-m", "tools.run"],
        cwd=checkout,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert "taskyard cannot run here" in done.stderr
    assert str(checkout / ".run") in done.stderr
    assert "Traceback" not in done.stderr


# --- Processes ------------------------------------------------------------------------------------


def test_a_process_is_ready_inside_the_block_and_gone_after_it(tmp_path):
    """The context manager starts, waits and stops."""
    with Script("print('up'); import time; time.sleep(600)", stack=tmp_path) as script:
        assert script.lines == ["up"]
        assert script.is_running

    assert not script.is_running


def test_a_process_has_a_session_of_its_own(tmp_path):
    """Ctrl-C in the terminal goes to the foreground group, so it must not reach the children."""
    with Script("print('up'); import time; time.sleep(600)", stack=tmp_path) as script:
        assert os.getsid(script.pid) == script.pid != os.getsid(0)


def test_a_process_that_ends_before_it_is_ready_is_an_error_with_its_last_lines(tmp_path):
    """The reader sees why without looking for a log."""
    script = NeverReady("import sys; sys.exit('no such queue')", stack=tmp_path)

    with pytest.raises(LocalServerError, match=r"script exited with 1(.|\n)*no such queue"), script:
        pass


def test_a_process_that_is_not_ready_in_time_is_an_error_and_is_stopped(tmp_path):
    """A probe that never succeeds ends at the deadline."""
    script = NeverReady("import time; time.sleep(600)", stack=tmp_path)
    script.ready_timeout_s = 0.1

    with (
        pytest.raises(LocalServerError, match=r"not ready after 0\.1 s; it printed nothing"),
        script,
    ):
        pass

    assert not script.is_running


def test_a_process_that_ignores_the_request_to_stop_is_killed_after_its_grace(tmp_path):
    """A grace is a limit."""
    with Script(STUBBORN, stack=tmp_path, grace_s=0.1) as script:
        script.stop()

    assert script.obituary().startswith("script was ended by SIGKILL")


def test_haste_cuts_the_grace_short(tmp_path):
    """A second Ctrl-C does not wait for a stubborn process."""
    with Script(STUBBORN, stack=tmp_path, grace_s=600) as script:
        script.stop(is_hurried=lambda: True)

        assert not script.is_running


def test_a_frozen_process_can_be_stopped(tmp_path):
    """SIGSTOP must not turn a clean stop into a kill."""
    with Script("print('up'); import time; time.sleep(600)", stack=tmp_path) as script:
        script.pause()
        script.stop()

    assert script.obituary().startswith("script was ended by SIGTERM")


def test_stopping_a_process_ends_its_children(tmp_path):
    """What a service started does not outlive it."""
    with Script(WITH_CHILD, stack=tmp_path) as script:
        assert wait_for(lambda: len(find_leftovers(tmp_path)) == 2, timeout_s=10)
        script.stop()

    assert find_leftovers(tmp_path) == []


def test_a_killed_process_can_be_started_again(tmp_path):
    """Fault tests kill a server and bring it back."""
    with Script("print('up'); import time; time.sleep(600)", stack=tmp_path) as script:
        first_pid = script.pid
        script.kill()
        script.restart()

        assert script.is_running
        assert script.pid != first_pid


def test_leftovers_are_found_by_their_folder_and_ended(tmp_path):
    """Only processes of this stack are touched, even those that detached themselves."""
    ours, other = tmp_path / "ours", tmp_path / "other"
    with Script(WITH_CHILD, stack=ours) as script, Script(WITH_CHILD, stack=other) as neighbour:
        script.send(signal.SIGKILL)
        assert wait_for(lambda: not script.is_running, timeout_s=10)

        assert end_leftovers(ours) == 1
        assert find_leftovers(ours) == []
        assert neighbour.is_running


# --- Ports and probes -----------------------------------------------------------------------------


def test_a_port_in_use_is_not_free():
    """A listener on the address makes the difference."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not ports.is_free(port)

    assert ports.is_free(port)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("elsewhere")])
def test_a_port_is_chosen_whatever_others_have_put_where_ports_are_reserved(make, tmp_path):
    """The folder for temporary files is everybody's."""
    make(tmp_path / f"taskyard-ports-{os.getuid()}")
    choice = "from taskyard.local_servers.ports import choose_port; print(choose_port())"

    done = subprocess.run(
        [sys.executable, "-c", choice],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    assert int(done.stdout) in range(ports.FIRST_PORT, ports.LAST_PORT + 1)
    assert not (tmp_path / "elsewhere").exists()


def test_chosen_ports_differ_and_lie_below_the_range_for_clients():
    """Two servers of one stack never get the same port."""
    chosen = [ports.choose_port() for _ in range(50)]

    assert len(set(chosen)) == 50
    assert max(chosen) < 32768


def test_a_port_is_chosen_by_one_process_at_a_time(tmp_path, monkeypatch):
    """Two stacks that start side by side never get the same port, though neither listens yet."""
    with Script(CHOOSER, stack=tmp_path) as other:
        port = int(other.lines[0])
        monkeypatch.setattr(ports, "FIRST_PORT", port)
        monkeypatch.setattr(ports, "LAST_PORT", port)
        with pytest.raises(OSError, match="no free port"):
            ports.choose_port()

    assert ports.choose_port() == port


def test_a_port_is_kept_from_one_run_to_the_next(tmp_path):
    """Addresses in other terminals stay good; another folder has other ports."""
    kept = KeptPorts(tmp_path / "ports")
    port = kept.choose("redis")
    reserved = KeptPorts(tmp_path / "ports")

    assert reserved.port("redis") == port
    assert KeptPorts(tmp_path / "elsewhere").port("redis") is None
    assert kept.moved == []


def test_a_kept_port_that_is_taken_is_replaced_for_good(tmp_path):
    """By a free one, and whoever asks is told of both."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        (tmp_path / "ports").write_text(json.dumps({"redis": taken}))
        kept = KeptPorts(tmp_path / "ports")
        port = kept.choose("redis")

    assert port != taken
    assert kept.moved == [("redis", taken, port)]
    assert KeptPorts(tmp_path / "ports").port("redis") == port


@pytest.mark.parametrize("content", ["", "[1]", '{"redis": "x"}', '{"redis": 70000}', "\\x00"])
def test_a_damaged_file_of_ports_is_as_good_as_none(tmp_path, content):
    """It costs the old addresses, and no start."""
    (tmp_path / "ports").write_text(content)

    kept = KeptPorts(tmp_path / "ports")

    assert kept.port("redis") is None
    assert KeptPorts(tmp_path / "ports").port("redis") is None
    assert kept.choose("redis") == KeptPorts(tmp_path / "ports").port("redis")


def test_probes_of_a_port_where_nothing_listens_say_no():
    """An absent server is an answer, not an error."""
    port = ports.choose_port()

    assert not answers(port, question=b"PING\r\n", answer=b"+PONG")
    assert http_status(port, "/readyz") is None


def test_a_service_that_listens_everywhere_is_reached_on_loopback(tmp_path):
    """The address that is printed can be used as it is."""
    service = Service("api", stack=tmp_path, env={}, host="0.0.0.0", port=5001)

    assert service.url == "http://127.0.0.1:5001"
    assert service.env["API_HOST"] == "0.0.0.0"
    assert service.env["API_PORT"] == "5001"


# --- System packages ------------------------------------------------------------------------------


def test_missing_packages_are_named_with_both_ways_on(monkeypatch):
    """A user who may not install packages learns what to type."""
    monkeypatch.setattr(install_packages, "IS_INSTALLED", {"redis-server": lambda: False})
    monkeypatch.setattr(install_packages, "can_install", lambda: False)

    with pytest.raises(LocalServerError) as caught:
        install_packages.ensure_installed(["redis-server"])

    assert "sudo apt-get install --no-install-recommends redis-server" in str(caught.value)
    assert "docker compose up --build" in str(caught.value)


def test_a_package_that_is_still_missing_after_installing_is_an_error(monkeypatch):
    """apt-get's word is not enough."""
    installed: list[str] = []
    monkeypatch.setattr(install_packages, "IS_INSTALLED", {"redis-server": lambda: False})
    monkeypatch.setattr(install_packages, "can_install", lambda: True)
    monkeypatch.setattr(install_packages, "install", installed.extend)

    with pytest.raises(LocalServerError, match="redis-server"):
        install_packages.ensure_installed(["redis-server"])

    assert installed == ["redis-server"]


def test_nothing_is_installed_when_nothing_is_missing(monkeypatch):
    """A second `make run` does not call apt-get."""
    monkeypatch.setattr(install_packages, "IS_INSTALLED", {"redis-server": lambda: True})
    monkeypatch.setattr(install_packages, "can_install", lambda: pytest.fail("looked for apt-get"))

    install_packages.ensure_installed(["redis-server"])


def test_services_are_kept_down_while_packages_are_installed(tmp_path):
    """The policy is there during the block, and says no."""
    policy = tmp_path / "policy-rc.d"

    with install_packages.services_kept_down(policy):
        assert subprocess.run([policy]).returncode == 101

    assert not policy.exists()


def test_the_policy_is_gone_after_a_failed_installation(tmp_path):
    """A machine must not be left unable to start services."""
    policy = tmp_path / "policy-rc.d"

    def fail():
        with install_packages.services_kept_down(policy):
            raise LocalServerError("apt-get failed")

    with pytest.raises(LocalServerError):
        fail()

    assert not policy.exists()


def test_a_policy_that_exists_already_stays(tmp_path):
    """Images of Debian bring one."""
    policy = tmp_path / "policy-rc.d"
    policy.write_text("theirs")

    with install_packages.services_kept_down(policy):
        pass

    assert policy.read_text() == "theirs"


def test_programs_that_do_not_exist_are_not_found(monkeypatch, tmp_path):
    """Nothing on the PATH, nothing in Debian's folder, none chosen."""
    monkeypatch.delenv("RABBITMQ_SERVER", raising=False)
    monkeypatch.delenv("REDIS_SERVER", raising=False)
    monkeypatch.setattr(programs, "SEARCH_PATH", str(tmp_path))
    monkeypatch.setattr(programs, "DEBIAN_RABBITMQ", tmp_path)

    assert programs.find_rabbitmq() is None
    assert programs.find_redis() is None


@pytest.mark.parametrize(
    ("variable", "find"),
    [("RABBITMQ_SERVER", programs.find_rabbitmq), ("REDIS_SERVER", programs.find_redis)],
)
def test_a_server_can_be_chosen_by_its_path(monkeypatch, tmp_path, variable, find):
    """A path that is no program is an error that names the variable, never another server."""
    chosen = tmp_path / "server"
    monkeypatch.setenv(variable, str(chosen))

    with pytest.raises(LocalServerError, match=variable):
        find()

    chosen.touch(mode=0o755)
    assert find() == chosen


def test_rabbitmqs_other_programs_stand_beside_the_chosen_one(monkeypatch, tmp_path):
    """Its port mapper only if it brings one: any version of it will do."""
    monkeypatch.delenv("RABBITMQ_SERVER", raising=False)
    installed = programs.find_epmd()
    monkeypatch.setenv("RABBITMQ_SERVER", str(tmp_path / "rabbitmq-server"))
    (tmp_path / "rabbitmq-server").touch(mode=0o755)

    assert programs.find_rabbitmq("rabbitmqctl") == tmp_path / "rabbitmqctl"
    assert programs.find_epmd() == installed

    (tmp_path / "epmd").touch(mode=0o755)
    assert programs.find_epmd() == tmp_path / "epmd"


# --- The runner's parts ---------------------------------------------------------------------------


def test_settings_have_defaults(checkout):
    """An empty environment is enough; an empty variable counts as unset."""
    settings = read_settings({"BROKER_URL": ""}, checkout)

    assert (settings.api_host, settings.api_port) == ("127.0.0.1", 5000)
    assert settings.worker_grace_s == 40
    assert settings.given_addresses == {}
    assert settings.folder == checkout / ".run"


def test_given_servers_are_kept(checkout):
    """Each of the two can be the user's own."""
    for given in ({"BROKER_URL": "amqp://theirs"}, {"BROKER_URL_FILE": "/secrets/theirs"}):
        settings = read_settings(given, checkout)

        assert settings.given_addresses == given
        assert (settings.has_broker, settings.has_store) == (True, False)


def test_addresses_of_its_own_servers_are_not_given_by_the_user(checkout):
    """They come from its file for other terminals; one that was changed since is the user's again."""
    folder = checkout / ".run"
    folder.mkdir()
    (folder / "ports").write_text(json.dumps({"rabbitmq": 20001, "redis": 20002}))
    own = {
        "BROKER_URL": "amqp://guest:guest@127.0.0.1:20001/",
        "RESULT_BACKEND": "redis://127.0.0.1:20002/0",
    }
    theirs = {"BROKER_URL": "amqp://guest:guest@127.0.0.1:5672/"}

    assert read_settings(own, checkout).given_addresses == {}
    assert read_settings({**own, **theirs}, checkout).given_addresses == theirs


def test_every_fault_in_the_settings_is_named_at_once(tmp_path):
    """One run shows them all."""
    environ = {"API_PORT": "http", "SHUTDOWN_GRACE": "-1"}

    with pytest.raises(LocalServerError) as caught:
        read_settings(environ, tmp_path)

    for part in ("no services/", "API_PORT is 'http'", "SHUTDOWN_GRACE is '-1'"):
        assert part in str(caught.value)


def test_a_folder_is_locked_once(tmp_path):
    """A second run learns which process is in its way."""
    with (
        locked(tmp_path / ".run"),
        pytest.raises(LocalServerError, match=f"process {os.getpid()}"),
        locked(tmp_path / ".run"),
    ):
        pass

    with locked(tmp_path / ".run"):
        pass


def test_a_folder_is_its_owners_alone(tmp_path):
    """One that an earlier version made for everybody becomes so, too."""
    folder = tmp_path / ".run"
    folder.mkdir(mode=0o755)

    with locked(folder):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_request_to_stop_ends_a_wait_and_the_second_is_haste():
    """Ctrl-C once stops, twice kills."""
    stops = StopRequests()
    stops.raise_if_any()

    stops.add()
    with pytest.raises(StopRequested):
        stops.raise_if_any()
    assert not stops.is_hurried()

    stops.add()
    assert stops.is_hurried()


def test_lines_carry_the_name_of_their_process():
    """Without a terminal there are no colours."""
    stream = io.StringIO()

    Console(stream).lines_of("api")("ready")

    assert stream.getvalue() == "api       | ready\n"


def test_names_are_coloured_on_a_terminal(monkeypatch):
    """Each process has its own colour; NO_COLOR switches them off."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    console = Console(stream)

    console.lines_of("api")("ready")
    console.lines_of("worker")("ready")

    api_line, worker_line = stream.getvalue().splitlines()
    assert api_line.startswith("\x1b[36m")
    assert worker_line.startswith("\x1b[33m")

    monkeypatch.setenv("NO_COLOR", "1")
    plain = Terminal()
    Console(plain).lines_of("api")("ready")
    assert "\x1b" not in plain.getvalue()


@pytest.mark.parametrize(
    ("stream", "environ", "expected"),
    [
        (Terminal(), {}, "console"),
        (Terminal(), {"LOG_FORMAT": "auto"}, "console"),
        (Terminal(), {"LOG_FORMAT": "json"}, "json"),
        (io.StringIO(), {}, "auto"),
        (io.StringIO(), {"LOG_FORMAT": "console"}, "console"),
    ],
)
def test_on_a_terminal_the_services_log_for_people(stream, environ, expected):
    """They write into a pipe and cannot see for themselves that a person reads along."""
    assert Console(stream, environ).log_format == expected


def test_a_closed_terminal_is_no_error():
    """The stack must still be stopped when the window is gone."""

    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    Console(Closed()).say("stopping")


def test_the_env_file_can_be_sourced_and_is_private(tmp_path):
    """Characters that mean something to a shell are quoted."""
    path = tmp_path / "env"

    write_env_file(path, {"BROKER_URL": "amqp://u:p'w;x@h/"})

    script = f'. {path} && test "$BROKER_URL" = "amqp://u:p\'w;x@h/"'
    assert subprocess.run(["sh", "-c", script]).returncode == 0
    assert path.stat().st_mode & 0o077 == 0


def test_the_greeting_shows_how_to_submit_and_to_read_a_job():
    """The lines can be pasted; servers are named without passwords."""
    addresses = {
        "API_URL": "http://127.0.0.1:5000",
        "BROKER_URL": "amqp://u:pass-word@one,two:5673/v",
        "RESULT_BACKEND": "redis://:pass-word@127.0.0.1:20002/0",
        "RABBITMQ_MANAGEMENT_URL": "http://guest:guest@127.0.0.1:20003",
    }

    text = greeting(addresses, env_file=".run/env", seconds=4.04)

    assert "ready after 4.0 s" in text
    assert "curl -s http://127.0.0.1:5000/v1/jobs -H" in text
    assert "http://127.0.0.1:5000/v1/jobs/first?wait_s=5" in text
    assert "one:5672,two:5673" in text
    assert "http://127.0.0.1:20003 (guest, guest)" in text
    assert "127.0.0.1:20002\n" in text
    assert "source ./.run/env && .venv/bin/taskyard submit background_task 1 2 --wait 5" in text
    assert "pass-word" not in text
