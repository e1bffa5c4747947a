"""How one of the project's own services is started and when it is ready."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from taskyard.local_servers.output import discard
from taskyard.local_servers.ports import LOOPBACK, choose_port
from taskyard.local_servers.probes import http_status
from taskyard.local_servers.process import Process

READY_PATH = "/readyz"


class Service(Process):
    """`python -m services.<name>`, ready once `/readyz` on its port answers 200."""

    def __init__(
        self,
        name: str,
        *,
        stack: Path,
        env: Mapping[str, str],
        host: str = LOOPBACK,
        port: int | None = None,
        checkout: Path | None = None,
        on_line: Callable[[str], None] = discard,
        grace_s: float = 10.0,
    ) -> None:
        """Describe the service; nothing runs yet.

        Args:
            name: `api`, `worker` or `scheduler`.
            env: Variables on top of this process's own; BROKER_URL and RESULT_BACKEND among them.
            port: Where it serves HTTP, for the worker and the scheduler health and metrics; a free
                one if None.
            checkout: The folder that holds `services/`; the current one if None.
        """
        self.host = host
        self.port = port or choose_port()
        super().__init__(
            name,
            [sys.executable, "-m", f"services.{name}"],
            stack=stack,
            env={"PYTHONUNBUFFERED": "1", **env, **self._address_env(name)},
            cwd=checkout,
            on_line=on_line,
            grace_s=grace_s,
        )

    @property
    def url(self) -> str:
        """The address it is reached at from this machine."""
        return f"http://{reachable(self.host)}:{self.port}"

    @property
    def metrics_url(self) -> str:
        """The address that Prometheus reads."""
        return f"{self.url}/metrics"

    def is_ready(self) -> bool:
        """Return whether its readiness check answers 200."""
        return http_status(self.port, READY_PATH, host=reachable(self.host)) == 200

    def _address_env(self, name: str) -> dict[str, str]:
        prefix = "API" if name == "api" else "METRICS"
        return {f"{prefix}_HOST": self.host, f"{prefix}_PORT": str(self.port)}


def reachable(host: str) -> str:
    """Return an address for clients on this machine, for a server that listens on `host`."""
    return LOOPBACK if host in ("0.0.0.0", "::") else host
