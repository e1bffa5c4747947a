"""Three nodes of RabbitMQ, each in a network namespace of its own, as one cluster."""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from taskyard.local_servers.process import Process
from taskyard.local_servers.programs import find_epmd, find_rabbitmq
from tests.cluster.network import Network
from tests.polling import poll

CONFIG = """\
listeners.tcp.1 = {address}:5672
loopback_users = none
cluster_formation.peer_discovery_backend = classic_config
{nodes}
disk_free_limit.absolute = 50MB
log.file.level = info
"""
ERLANG_FLAGS = "-start_epmd false +S 2:2 +sbwt none +stbt u"
COOKIE = "cluster"
#: For `rabbitmqctl`, of which each call takes a second of an idle core.
CONTROL_TIMEOUT_S = 90


class Node(Process):
    """One node, with its port mapper, in a place of the network."""

    ready_timeout_s = 120.0

    def __init__(self, number: int, network: Network, folder: Path, names: list[str]) -> None:
        place = network.add(number)
        self.number = number
        self.address = network.address(number)
        self.node = names[number]
        self.folder = folder / f"node{number}"
        self._inside = ["ip", "netns", "exec", place]
        self._write_files(names)
        self._epmd = Process("epmd", [*self._inside, str(find_epmd())], stack=folder)
        super().__init__(
            self.node,
            [*self._inside, str(find_rabbitmq())],
            stack=folder,
            env=self._environment(),
            cwd=self.folder,
            grace_s=30.0,
        )

    def is_ready(self) -> bool:
        """Return whether it has booted, as it says itself."""
        try:
            self.control("await_startup", "--timeout", "60")
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return False
        return True

    def start(self) -> None:
        """Start it and return at once."""
        if not self._epmd.is_running:
            self._epmd.start()
        super().start()

    def kill(self) -> None:
        """End it as `kill -9` does."""
        super().kill()
        self._epmd.kill()

    def control(self, *arguments: str) -> str:
        """Return what `rabbitmqctl` prints.

        Raises:
            subprocess.CalledProcessError: If it failed.
            subprocess.TimeoutExpired: If it gave no answer.
        """
        command = [*self._inside, str(find_rabbitmq("rabbitmqctl")), "--longnames", "--quiet"]
        done = subprocess.run(
            [*command, *arguments],
            env=self.full_env(),
            capture_output=True,
            text=True,
            check=True,
            timeout=CONTROL_TIMEOUT_S,
        )
        return done.stdout

    def _write_files(self, names: list[str]) -> None:
        for name in ("data", "log"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        nodes = "\n".join(
            f"cluster_formation.classic_config.nodes.{number} = {name}"
            for number, name in enumerate(names, 1)
        )
        (self.folder / "rabbitmq.conf").write_text(CONFIG.format(nodes=nodes, address=self.address))
        (self.folder / "enabled_plugins").write_text("[].\n")
        (self.folder / "empty").touch()
        cookie = self.folder / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(COOKIE)
            cookie.chmod(0o400)

    def _environment(self) -> dict[str, str]:
        folder = self.folder
        return {
            "HOME": str(folder),
            "RABBITMQ_USE_LONGNAME": "true",
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_CONF_ENV_FILE": str(folder / "empty"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RUNNING_UNDER_SYSTEMD": "1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG_FLAGS,
            "ERL_CRASH_DUMP": str(folder / "log" / "erl_crash.dump"),
        }


class Cluster:
    """The nodes, and where their queues are.

    Args:
        folder: For their data and logs.
    """

    def __init__(self, folder: Path) -> None:
        self.network = Network()
        self._folder = folder
        self.nodes: list[Node] = []

    @property
    def url(self) -> str:
        """The address for `BROKER_URL`."""
        return f"amqp://guest:guest@{','.join(node.address for node in self.nodes)}/"

    def start(self) -> None:
        """Return once three nodes are one cluster."""
        self.network.start()
        names = [f"rabbit@{self.network.address(number)}" for number in range(3)]
        self.nodes = [Node(number, self.network, self._folder, names) for number in range(3)]
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.wait_ready()
        self.nodes[0].control("await_online_nodes", "3")

    def stop(self) -> None:
        """Kill all that runs, and take the network away."""
        for node in self.nodes:
            node.resume()
            node.kill()
        self.network.stop()

    def heal(self) -> None:
        """Return once all nodes run, reach each other, and every queue has all its members."""
        self.network.heal()
        for node in self.nodes:
            node.resume() if node.is_running else node.start()
        for node in self.nodes:
            node.wait_ready()
        self.nodes[0].control("await_online_nodes", "3")
        poll(lambda: all(len(online) == 3 for online in self.online().values()), 60)

    def leaders(self) -> dict[str, str]:
        """Return the node that leads each queue."""
        return {name: row["leader"] for name, row in self._queues(self.nodes).items()}

    def members(self) -> dict[str, list[str]]:
        """Return the nodes that have a replica of each queue."""
        return {name: row["members"] for name, row in self._queues(self.nodes).items()}

    def online(self) -> dict[str, list[str]]:
        """Return the nodes whose replica of each queue runs."""
        return {name: row["online"] for name, row in self._queues(self.nodes).items()}

    def connected(self, name: str) -> Node:
        """Return the node that a connection of this name leads to."""
        text = self.nodes[0].control(
            "list_connections", "host", "client_properties", "--formatter", "json"
        )
        named = ["connection_name", "longstr", name]
        rows = [row for row in json.loads(text) if named in row["client_properties"]]
        hosts = [".".join(map(str, row["host"])) for row in rows]
        return next(node for node in self.nodes if node.address in hosts)

    def leader(self, queue: str) -> Node:
        """Return the node that leads a queue."""
        return next(node for node in self.nodes if node.node == self.leaders()[queue])

    def _queues(self, nodes: Iterable[Node]) -> dict[str, dict[str, Any]]:
        columns = ("name", "leader", "members", "online")
        node = next(node for node in nodes if node.is_running)
        text = node.control("list_queues", *columns, "--formatter", "json")
        return {row["name"]: row for row in json.loads(text)}
