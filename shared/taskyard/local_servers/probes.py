"""Whether a server answers: one question over TCP or HTTP, answered within a second."""

import base64
import http.client
import socket

from taskyard.local_servers.ports import LOOPBACK

TIMEOUT_S = 1.0


def accepts(port: int) -> bool:
    """Return whether something listens on the loopback `port`."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=TIMEOUT_S).close()
    except OSError:
        return False
    return True


def answers(port: int, *, question: bytes, answer: bytes) -> bool:
    """Return whether the server on the loopback `port` replies to `question` with `answer`."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=TIMEOUT_S) as connection:
            connection.sendall(question)
            return connection.recv(len(answer), socket.MSG_WAITALL) == answer
    except OSError:
        return False


def http_status(
    port: int, path: str, *, host: str = LOOPBACK, user: str = "", password: str = ""
) -> int | None:
    """Return the status of `GET path`, asked as `user` if one is named; None if there was no answer."""
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    headers = {"Authorization": _basic(user, password)} if user else {}
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
