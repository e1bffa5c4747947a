"""Which TCP ports on this machine are free."""

import random
import socket

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
    """Return a free loopback port that this process has not chosen before.

    Raises:
        OSError: If a thousand ports in a row are taken.
    """
    for _ in range(1000):
        port = random.randint(FIRST_PORT, LAST_PORT)
        if port not in _chosen and is_free(port):
            _chosen.add(port)
            return port
    raise OSError(f"no free port between {FIRST_PORT} and {LAST_PORT}")
