"""RabbitMQ and Redis together, for one folder: the pair that tests and the runner start."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from taskyard.local_servers.rabbit_server import RabbitServer
from taskyard.local_servers.redis_server import RedisServer
from taskyard.local_servers.waiting import never, nothing


class Servers:
    """A private RabbitMQ and Redis, started and stopped together, with data under `folder`.

    >>> with Servers(tmp_path) as servers:
    ...     connect(servers.rabbit.url, servers.redis.url)
    """

    def __init__(self, folder: Path) -> None:
        """Choose the ports; nothing runs yet.

        Raises:
            LocalServerError: If RabbitMQ or Redis is not installed.
        """
        self.folder = folder.resolve()
        self.rabbit = RabbitServer(folder)
        self.redis = RedisServer(folder)

    def start(self, check: Callable[[], None] = nothing) -> None:
        """Return once both are ready; `check` is called while waiting and may raise."""
        for server in (self.rabbit, self.redis):
            server.start()
        for server in (self.rabbit, self.redis):
            server.wait_ready(check)

    def stop(self, is_hurried: Callable[[], bool] = never) -> None:
        """Return once both, and whatever they started, are gone. Safe twice."""
        self.redis.stop(is_hurried)
        self.rabbit.stop(is_hurried)

    def kill(self) -> None:
        """Return once both are gone, at once: for data that nobody will read again."""
        self.redis.kill()
        self.rabbit.kill()
        self.rabbit.stop()

    @property
    def env(self) -> dict[str, str]:
        """The variables that point a service at these servers."""
        return {"BROKER_URL": self.rabbit.url, "RESULT_BACKEND": self.redis.url}

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
