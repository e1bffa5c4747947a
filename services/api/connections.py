"""What the kernel knows of a client's connection, and HTTP does not."""

import socket
import struct


def bound_silence(connection: socket.socket, limit_s: float) -> None:
    """Have a read or write that gets nowhere for `limit_s` seconds fail.

    By the kernel: gunicorn sets the socket's own timeout again and again.
    """
    seconds = struct.pack("ll", int(limit_s), int(limit_s % 1 * 1_000_000))
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        connection.setsockopt(socket.SOL_SOCKET, option, seconds)


def has_left(connection: socket.socket | None) -> bool:
    """Return whether the client has closed its side; what it sends too early is left for its next request."""
    if connection is None:
        return False
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
