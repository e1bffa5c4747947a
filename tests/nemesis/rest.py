"""How customers speak to an API: one connection, and answers that also tell that there was none."""

import http.client
import json
from typing import Any, NamedTuple

from taskyard.local_servers.ports import LOOPBACK

TIMEOUT_S = 12.0


class Answer(NamedTuple):
    """Status and document; status 0 and a text if no answer came."""

    status: int
    document: Any


class Rest:
    """One connection to an API, made anew when it broke; for one thread.

    Args:
        port: Where the API listens.
    """

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection(LOOPBACK, port, timeout=TIMEOUT_S)

    def call(self, method: str, path: str, body: Any = None) -> Answer:
        """Send a request and return its answer."""
        content = None if body is None else json.dumps(body)
        try:
            self._connection.request(method, path, content, {"Content-Type": "application/json"})
            answer = self._connection.getresponse()
            return Answer(answer.status, _decoded(answer.read()))
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return Answer(0, f"{type(error).__name__}: {error}")

    def get(self, path: str) -> Answer:
        """Return the answer to a GET."""
        return self.call("GET", path)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _decoded(body: bytes) -> Any:
    """Return the document of an answer, or its text if that is no JSON."""
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode(errors="replace")
