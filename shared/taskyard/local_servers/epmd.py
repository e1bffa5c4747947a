"""Erlang's port mapper: the small server that tells Erlang programs each other's ports."""

from pathlib import Path

from taskyard.local_servers.ports import LOOPBACK, choose_port
from taskyard.local_servers.probes import accepts
from taskyard.local_servers.process import Process


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
