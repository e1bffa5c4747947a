"""How a private Redis is run: on loopback, with every write kept in its append-only file."""

from collections.abc import Callable, Mapping
from pathlib import Path

from taskyard.local_servers.errors import LocalServerError
from taskyard.local_servers.folders import make_private
from taskyard.local_servers.ports import LOOPBACK, any_port
from taskyard.local_servers.probes import answers
from taskyard.local_servers.process import Process
from taskyard.local_servers.programs import REDIS_PACKAGE, explain_missing, find_redis


class RedisServer(Process):
    """A Redis with its data in `folder`/redis; the data outlives it."""

    def __init__(
        self,
        folder: Path,
        *,
        stack: Path | None = None,
        extra_options: Mapping[str, str] | None = None,
        port_of: Callable[[str], int] = any_port,
    ) -> None:
        """Choose a port and make the folder; nothing runs yet.

        Args:
            port_of: Returns the port for `redis`.

        Raises:
            LocalServerError: If Redis is not installed.
        """
        program = find_redis()
        if program is None:
            raise LocalServerError(explain_missing([REDIS_PACKAGE]))
        self.port = port_of("redis")
        data = folder.resolve() / "redis"
        make_private(data)
        argv = [str(program), *_options(self.port, data, extra_options or {})]
        super().__init__("redis", argv, stack=stack or folder, cwd=data, is_private=True)

    @property
    def url(self) -> str:
        """The address for `RESULT_BACKEND`."""
        return redis_url(self.port)

    def is_ready(self) -> bool:
        """Return whether it answers PING, which it does not while it loads its data."""
        return answers(self.port, question=b"PING\r\n", answer=b"+PONG")


def redis_url(port: int) -> str:
    """Return the address of such a Redis on `port`."""
    return f"redis://{LOOPBACK}:{port}/0"


def _options(port: int, data: Path, extra: Mapping[str, str]) -> list[str]:
    options = {
        "bind": LOOPBACK,
        "port": str(port),
        "dir": str(data),
        "appendonly": "yes",
        "save": "",
        # A job's state must never be dropped to make room for another's.
        "maxmemory-policy": "noeviction",
        # The record of a usual job takes two fifths less memory.
        "hash-max-listpack-value": "2048",
        # A title would be written over the environment, by which a killed run's leftovers are found.
        "set-proc-title": "no",
        **extra,
    }
    return [part for name, value in options.items() for part in (f"--{name}", value)]
