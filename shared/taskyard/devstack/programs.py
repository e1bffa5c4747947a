"""Where RabbitMQ's, Erlang's and Redis' programs lie on this machine."""

import os
import shutil
from pathlib import Path

# Debian's `rabbitmq-server` on the PATH is a wrapper that insists on the user `rabbitmq`. The
# script that it wraps is here, and runs as anyone.
DEBIAN_RABBITMQ = Path("/usr/lib/rabbitmq/bin")

# Debian keeps servers in folders that a user's PATH often lacks.
SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"))


def find_rabbitmq(program: str = "rabbitmq-server") -> Path | None:
    """Return the path of one of RabbitMQ's programs, or None if it is not installed."""
    if (DEBIAN_RABBITMQ / program).exists():
        return DEBIAN_RABBITMQ / program
    return _on_path(program)


def find_epmd() -> Path | None:
    """Return the path of Erlang's port mapper, or None if Erlang is not installed."""
    bundled = sorted(Path("/usr/lib/erlang").glob("erts-*/bin/epmd"))
    return _on_path("epmd") or (bundled[-1] if bundled else None)


def find_redis() -> Path | None:
    """Return the path of the Redis server, or of Valkey's, or None if neither is installed."""
    return _on_path("redis-server") or _on_path("valkey-server")


def _on_path(program: str) -> Path | None:
    found = shutil.which(program, path=SEARCH_PATH)
    return Path(found) if found else None
