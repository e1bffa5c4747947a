"""How a private RabbitMQ is run: as anyone, on loopback, small, beside any other on the machine."""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from taskyard.local_servers.errors import LocalServerError
from taskyard.local_servers.folders import make_private
from taskyard.local_servers.ports import LOOPBACK, any_port, choose_port
from taskyard.local_servers.probes import accepts, answers, http_status
from taskyard.local_servers.process import Process
from taskyard.local_servers.programs import (
    RABBITMQ_PACKAGE,
    explain_missing,
    find_epmd,
    find_rabbitmq,
)
from taskyard.local_servers.waiting import never, wait_for

# The data folder is named after the node, so the name must not change with the ports.
NODE_NAME = "taskyard@localhost"

#: Name and password of the user that a fresh RabbitMQ has, for clients of this machine.
LOGIN = ("guest", "guest")

# The first bytes that a client sends, and those of the broker's `connection.start` in reply.
AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
AMQP_START = b"\x01\x00\x00"

#: The largest message: above all that taskyard publishes, as `deploy/rabbitmq` has it. Bytes.
MAX_MESSAGE_BYTES = 8_388_608

CONFIG = """\
listeners.tcp.1 = {host}:{port}
management.tcp.ip = {host}
management.tcp.port = {management_port}
prometheus.tcp.ip = {host}
prometheus.tcp.port = {prometheus_port}
max_message_size = {max_message_bytes}
# The default is the size of the memory: on a small disk it would block every publisher.
disk_free_limit.absolute = 50MB
"""
# Two schedulers, that neither wait in a busy loop nor keep a core to themselves.
ERLANG_FLAGS = (
    "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none +stbt u"
)
PLUGINS = "[rabbitmq_management,rabbitmq_prometheus].\n"


class RabbitServer(Process):
    """A RabbitMQ with its data in `folder`/rabbitmq; the data outlives it."""

    ready_timeout_s = 90.0

    def __init__(
        self,
        folder: Path,
        *,
        stack: Path | None = None,
        extra_config: str = "",
        port_of: Callable[[str], int] = any_port,
    ) -> None:
        """Choose the ports and write the configuration, `extra_config` below our own; nothing runs yet.

        Args:
            port_of: Returns the port for `rabbitmq`, `rabbitmq_page` and `rabbitmq_metrics`.

        Raises:
            LocalServerError: If RabbitMQ is not installed.
        """
        program, epmd = find_rabbitmq(), find_epmd()
        if program is None or epmd is None:
            raise LocalServerError(explain_missing([RABBITMQ_PACKAGE]))
        self.port = port_of("rabbitmq")
        self.management_port = port_of("rabbitmq_page")
        self.prometheus_port = port_of("rabbitmq_metrics")
        self._folder = folder.resolve() / "rabbitmq"
        self._epmd = Epmd(epmd, stack=stack or folder)
        self._write_config(extra_config)
        # A stop takes 6 s when idle, and longer with queues to write out.
        super().__init__(
            "rabbitmq",
            [str(program)],
            stack=stack or folder,
            env=self._environment(),
            cwd=self._folder,
            grace_s=30.0,
            is_private=True,
        )

    @property
    def login(self) -> tuple[str, str]:
        """Name and password of the user that may do everything."""
        return LOGIN

    @property
    def url(self) -> str:
        """The address for `BROKER_URL`."""
        return rabbit_url(self.port, self.login)

    @property
    def management_url(self) -> str:
        """The address of the management page and its HTTP API, with the password."""
        return f"http://{':'.join(self.login)}@{LOOPBACK}:{self.management_port}"

    @property
    def metrics_url(self) -> str:
        """The address that Prometheus reads."""
        return f"http://{LOOPBACK}:{self.prometheus_port}/metrics"

    def is_ready(self) -> bool:
        """Return whether it greets an AMQP client and its management API answers.

        For some moments after its start that API takes connections and answers 500.
        """
        greets = answers(self.port, question=AMQP_HEADER, answer=AMQP_START)
        if not greets:
            return False
        user, password = self.login
        return (
            http_status(self.management_port, "/api/overview", user=user, password=password) == 200
        )

    def start(self) -> None:
        """Start the port mapper, then the broker, and return at once."""
        if not self._epmd.is_running:
            self._epmd.start()
            self._epmd.wait_ready()
        super().start()

    def stop(self, is_hurried: Callable[[], bool] = never) -> None:
        """Return once the broker and its port mapper are gone. Safe twice."""
        super().stop(is_hurried)
        self._epmd.stop(is_hurried)

    def ask_to_end(self, is_hurried: Callable[[], bool]) -> None:
        """Ask every second: a broker that has only just been started misses the first signal."""
        for _ in range(int(self.grace_s)):
            self.send(signal.SIGTERM)
            if is_hurried() or wait_for(lambda: not self.is_running, timeout_s=1.0):
                return

    def control(self, *arguments: str) -> str:
        """Return what `rabbitmqctl` prints for `arguments`; it takes a second of an idle core.

        Raises:
            subprocess.CalledProcessError: If rabbitmqctl failed.
        """
        command = [str(find_rabbitmq("rabbitmqctl")), "--quiet", *arguments]
        done = subprocess.run(
            command, env=self.full_env(), capture_output=True, text=True, check=True, timeout=180
        )
        return done.stdout

    def _write_config(self, extra: str) -> None:
        make_private(self._folder)
        for name in ("data", "log"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        config = CONFIG.format(host=LOOPBACK, max_message_bytes=MAX_MESSAGE_BYTES, **vars(self))
        (self._folder / "rabbitmq.conf").write_text(config + extra)
        (self._folder / "enabled_plugins").write_text(PLUGINS)
        (self._folder / "empty").touch()

    def _environment(self) -> dict[str, str]:
        folder = self._folder
        return {
            "HOME": str(folder),  # holds the cookie that rabbitmqctl shows to the broker
            "RABBITMQ_NODENAME": NODE_NAME,
            "RABBITMQ_CONF_ENV_FILE": str(folder / "empty"),  # leave the system's settings out
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_DIST_PORT": str(choose_port()),
            # The script then becomes the broker instead of waiting beside it.
            "RUNNING_UNDER_SYSTEMD": "1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG_FLAGS,
            "ERL_CRASH_DUMP": str(folder / "log" / "erl_crash.dump"),
            **self._epmd.client_env(),
        }


class Epmd(Process):
    """Erlang's port mapper, for one broker.

    Left to itself RabbitMQ starts one that all Erlang programs share, and leaves it behind.
    """

    def __init__(self, program: Path, *, stack: Path) -> None:
        """Choose a port; nothing runs yet."""
        self.port = choose_port()
        argv = [str(program), "-address", LOOPBACK, "-port", str(self.port)]
        super().__init__("epmd", argv, stack=stack)

    def client_env(self) -> dict[str, str]:
        """Return the variables by which Erlang programs find this port mapper."""
        return {"ERL_EPMD_ADDRESS": LOOPBACK, "ERL_EPMD_PORT": str(self.port)}

    def is_ready(self) -> bool:
        """Return whether it takes connections."""
        return accepts(self.port)


def rabbit_url(port: int, login: tuple[str, str] = LOGIN) -> str:
    """Return the address of such a RabbitMQ on `port`."""
    return f"amqp://{':'.join(login)}@{LOOPBACK}:{port}/"
