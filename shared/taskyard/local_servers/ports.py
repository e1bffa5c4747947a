"""Which TCP ports on this machine are free, and not spoken for by another process of ours."""

import fcntl
import os
import random
import socket
import stat
import tempfile
from functools import cache
from pathlib import Path

LOOPBACK = "127.0.0.1"

# Below the range that the kernel uses for outgoing connections (32768 and up): any client could
# take a port of that range between our choice and the server's start, seconds later for RabbitMQ.
FIRST_PORT, LAST_PORT = 20_000, 31_999

_chosen: set[int] = set()


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Return whether a server could listen on `port` of `host` now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def choose_port() -> int:
    """Return a free loopback port, which no other process of this user chooses while this one lives.

    Raises:
        OSError: If a thousand ports in a row are taken.
    """
    for _ in range(1000):
        port = random.randint(FIRST_PORT, LAST_PORT)
        if claim(port):
            return port
    raise OSError(f"no free port between {FIRST_PORT} and {LAST_PORT}")


def any_port(_use: str) -> int:
    """Return a free loopback port, whatever it is for."""
    return choose_port()


def claim(port: int) -> bool:
    """Return whether `port` is free; if so, no other process of this user chooses it while this one lives."""
    if port in _chosen or not _reserve(port) or not is_free(port):
        return False
    _chosen.add(port)
    return True


def _reserve(port: int) -> bool:
    """Lock one byte of a file that our processes share; the system unlocks it when this one ends.

    Where the file cannot be had, every port counts as reserved: that it is free has to do.
    """
    reservations = _reservations()
    if reservations is None:
        return True
    try:
        fcntl.lockf(reservations, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except (BlockingIOError, PermissionError):  # the two errors for a lock that another holds
        return False
    return True


@cache
def _reservations() -> int | None:
    """Open the file; None if the folder, which is everybody's, is full or has another's file of that name."""
    path = Path(tempfile.gettempdir()) / f"taskyard-ports-{os.getuid()}"
    try:
        found = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError:
        return None
    about = os.fstat(found)
    if about.st_uid == os.getuid() and stat.S_ISREG(about.st_mode):
        return found
    os.close(found)
    return None
