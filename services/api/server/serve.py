"""The API under gunicorn: one process with threads, which opens its connections after the fork."""

import logging
from pathlib import Path
from typing import Any

from apiflask import APIFlask
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]  # has no types
from gunicorn.glogging import Logger  # type: ignore[import-untyped]  # has no types

from services.api.app import create_app
from taskyard import __version__
from taskyard.config import Settings
from taskyard.dispatcher import Dispatcher
from taskyard.rabbitmq.publisher import Publisher
from taskyard.store import open_store
from taskyard.telemetry import tracing

#: How long a stopping server lets requests finish. Seconds.
GRACE_S = 10
_SHARED_MEMORY = Path("/dev/shm")


class Log(Logger):  # type: ignore[misc]  # has no types
    """gunicorn's own lines, sent the way of all others; its access log is ours (`request_log`)."""

    def setup(self, cfg: Any) -> None:
        """Leave handlers and levels to `taskyard.telemetry.logs`."""
        self.cfg = cfg
        self._access_log_enabled = False
        self.error_log.propagate = True
        # Its debug lines have each request's path, which is untrusted input.
        self.error_log.setLevel(max(logging.INFO, logging.getLogger().level))


class Server(BaseApplication):  # type: ignore[misc]  # has no types
    """Serves until SIGTERM or SIGINT.

    Args:
        settings: Where to listen, where RabbitMQ and the store are.
    """

    def __init__(self, settings: Settings) -> None:
        #: Read by the worker.
        self.settings = settings
        self._dispatcher: Dispatcher | None = None
        self._worker: Any = None
        super().__init__()

    def load_config(self) -> None:
        """Give gunicorn its settings; it reads neither files nor arguments."""
        for name, value in self._options().items():
            self.cfg.set(name, value)

    def _options(self) -> dict[str, Any]:
        host = self.settings.api_host
        return {
            "bind": f"{f'[{host}]' if ':' in host else host}:{self.settings.api_port}",
            "proc_name": "taskyard-api",
            "worker_class": "services.api.server.worker.HttpWorker",
            "workers": 1,
            "threads": self.settings.api_threads,
            "graceful_timeout": GRACE_S,
            "control_socket_disable": True,
            # A worker's sign of life is a file: on a disk it could hang the worker.
            "worker_tmp_dir": str(_SHARED_MEMORY) if _SHARED_MEMORY.is_dir() else None,
            "logger_class": Log,
            "post_worker_init": self._started,
            "worker_exit": self._exited,
        }

    def load(self) -> APIFlask:
        """Return the application; called in the worker process."""
        tracing.start("api", __version__)
        publisher = Publisher(
            self.settings.broker_url,
            queue_type=self.settings.queue_type,
            name="api",
            tls=self.settings.tls,
        )
        self._dispatcher = Dispatcher(
            open_store(self.settings),
            publisher,
            publish_deadline_s=self.settings.publish_deadline_s,
        )
        return create_app(self.settings, self._dispatcher, is_stopping=self._is_stopping)

    def _started(self, worker: Any) -> None:
        self._worker = worker
        if self._dispatcher is not None:
            self._dispatcher.publisher.start()

    def _is_stopping(self) -> bool:
        return self._worker is not None and not self._worker.alive

    def _exited(self, _server: Any, _worker: Any) -> None:
        if self._dispatcher is not None:
            self._dispatcher.close()
        tracing.stop()
