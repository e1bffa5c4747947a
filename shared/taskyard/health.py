"""Health and metrics over HTTP for the services that are not the API."""

import json
import socket
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import TCPServer

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

#: A client that is slower than this is cut off. Seconds.
CLIENT_TIMEOUT_S = 2.0

Problems = Callable[[], Sequence[str]]


class HealthServer(HTTPServer):
    """Answers `/healthz` (the process works), `/readyz` (it serves) and `/metrics`, one request at a time.

    Args:
        host: Address to listen on.
        port: Port; 0 takes a free one.
        registry: The metrics.
        sick: What is wrong with the process; empty if it works.
        unready: What keeps it from serving; empty if it serves.
    """

    request_queue_size = 32

    def __init__(
        self,
        host: str,
        port: int,
        *,
        registry: CollectorRegistry,
        sick: Problems,
        unready: Problems,
    ) -> None:
        self.registry = registry
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._thread = threading.Thread(target=self.serve_forever, name="health", daemon=True)
        self.probes = {"/healthz": sick, "/readyz": unready}
        super().__init__((host, port), _Handler)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.server_address[1])

    def server_bind(self) -> None:
        """Listen, without asking a name server for this host's name as the base class does."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.port

    def start(self) -> None:
        """Serve from a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Close the port; safe to call twice, and without `start`."""
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: HealthServer
    timeout = CLIENT_TIMEOUT_S

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(200, CONTENT_TYPE_LATEST, generate_latest(self.server.registry))
        elif path in self.server.probes:
            problems = list(self.server.probes[path]())
            body = json.dumps({"ok": not problems, "problems": problems}).encode()
            self._answer(503 if problems else 200, "application/json", body)
        else:
            self._answer(404, "text/plain", b"try /healthz, /readyz or /metrics\n")

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: probes come every few seconds."""
