"""Where RabbitMQ's, Erlang's and Redis' programs lie on this machine.

`RABBITMQ_SERVER` and `REDIS_SERVER` name others: the path of a server's program, which has
`rabbitmqctl` (and perhaps `epmd`) beside it.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from taskyard.local_servers.errors import LocalServerError

#: Debian's names for what has them.
RABBITMQ_PACKAGE = "rabbitmq-server"
REDIS_PACKAGE = "redis-server"

# Debian's `rabbitmq-server` on the PATH is a wrapper that insists on the user `rabbitmq`. The
# script that it wraps is here, and runs as anyone.
DEBIAN_RABBITMQ = Path("/usr/lib/rabbitmq/bin")

# Debian keeps servers in folders that a user's PATH often lacks.
SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"))


def find_rabbitmq(program: str = "rabbitmq-server") -> Path | None:
    """Return the path of one of RabbitMQ's programs, or None if it is not installed.

    Raises:
        LocalServerError: If RABBITMQ_SERVER names no program.
    """
    if chosen := _chosen("RABBITMQ_SERVER"):
        return chosen if program == "rabbitmq-server" else chosen.with_name(program)
    if (DEBIAN_RABBITMQ / program).exists():
        return DEBIAN_RABBITMQ / program
    return _on_path(program)


def find_epmd() -> Path | None:
    """Return the path of Erlang's port mapper, or None if Erlang is not installed."""
    if (chosen := _chosen("RABBITMQ_SERVER")) and _is_program(chosen.with_name("epmd")):
        return chosen.with_name("epmd")
    bundled = sorted(Path("/usr/lib/erlang").glob("erts-*/bin/epmd"))
    return _on_path("epmd") or (bundled[-1] if bundled else None)


def find_redis() -> Path | None:
    """Return the path of the Redis server, or of Valkey's, or None if neither is installed.

    Raises:
        LocalServerError: If REDIS_SERVER names no program.
    """
    return _chosen("REDIS_SERVER") or _on_path("redis-server") or _on_path("valkey-server")


def explain_missing(packages: Sequence[str]) -> str:
    """Return what is missing and the two ways on."""
    names = " ".join(packages)
    return (
        f"The development stack needs programs that are not installed: {', '.join(packages)}.\n"
        f"Install them:             sudo apt-get install --no-install-recommends {names}\n"
        "or use containers instead: docker compose up --build"
    )


def rabbitmq_version() -> str:
    """Return the version of RabbitMQ that is found here, such as "4.3.6"; "none" if there is none.

    It is "unknown" if the program that tells it does not answer.
    """
    program = find_rabbitmq("rabbitmqctl")
    return _ask(program, "version").strip() or "unknown" if program else "none"


def redis_version() -> str:
    """Return the version of Redis or Valkey that is found here; "none" or "unknown" likewise."""
    program = find_redis()
    if program is None:
        return "none"
    found = re.search(r"v=(\S+)", _ask(program, "--version"))
    return found[1] if found else "unknown"


def _ask(program: Path, question: str) -> str:
    command = [str(program), question]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    except subprocess.TimeoutExpired:
        return ""


def _chosen(variable: str) -> Path | None:
    path = os.environ.get(variable)
    if not path:
        return None
    if not _is_program(Path(path)):
        raise LocalServerError(f"{variable} is {path!r}: there is no program of that name")
    return Path(path).absolute()


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _on_path(program: str) -> Path | None:
    found = shutil.which(program, path=SEARCH_PATH)
    return Path(found) if found else None
