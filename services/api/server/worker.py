"""gunicorn's worker process: one loop for all connections, and threads that compute answers."""

import asyncio
import functools
import logging
import os
import resource
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gunicorn.workers.base import Worker  # type: ignore[import-untyped]  # has no types

from services.api.server import wsgi
from services.api.server.connection import Host, HttpConnection, keep_little_unsent
from services.api.server.crowd import Bounds, Crowd
from services.api.server.incoming import Incoming

logger = logging.getLogger(__name__)

#: How often it is looked for what is late, and whether the master lives. Seconds.
LOOK_S = 0.5
#: How long a stopping server waits for what clients may already be sending. Seconds.
STOP_LINGER_S = 2.0
#: Connections that are taken in at a time. Each lasts for a few turns of the loop, though it is one too many.
ACCEPTED_AT_ONCE = 32
#: Files that are not connections of clients: logs, the store, RabbitMQ; and connections that are too many.
#: A process has at least 1,024.
OTHER_FILES = 128 + 4 * ACCEPTED_AT_ONCE


class HttpWorker(Worker):  # type: ignore[misc]  # has no types
    """The worker process that `server` chooses."""

    def init_process(self) -> None:
        """Begin; does not return before the end."""
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        super().init_process()

    def init_signals(self) -> None:
        """Have the loop handle what the master sends."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        self._loop.add_signal_handler(signal.SIGTERM, self._stop)
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGABRT):
            self._loop.add_signal_handler(number, self._stop_at_once)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGWINCH, signal.SIG_IGN)

    def run(self) -> None:
        """Serve until the end."""
        self._loop.set_exception_handler(_log_loop_error)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    def _stop(self) -> None:
        self.alive = False
        self._stopping.set()

    def _stop_at_once(self) -> None:
        self._grace_s = 0.0
        self._stop()

    async def _serve(self) -> None:
        settings = self.app.settings
        self._grace_s = float(self.cfg.graceful_timeout)
        bounds = Bounds(
            connections=_room_for(settings.api_connections),
            unfinished=settings.api_connections_per_address,
            held_bytes=settings.api_held_max_bytes,
        )
        crowd = Crowd(bounds, self._loop.time)
        threads = ThreadPoolExecutor(self.cfg.threads, thread_name_prefix="request")

        def start(connection: HttpConnection, request: Incoming) -> None:
            threads.submit(wsgi.serve, self.wsgi, request, connection)

        limit = max(
            (settings.payload_max_bytes, "PAYLOAD_MAX_BYTES"),
            (settings.batch_max_bytes, "BATCH_MAX_BYTES"),
        )
        host = Host(
            self._loop, crowd, start, functools.partial(Incoming, *limit), lambda: not self.alive
        )
        servers = [await self._listen(listener.sock, host) for listener in self.sockets]
        while self.alive:
            self.notify()
            _sweep(crowd)
            if os.getppid() != self.ppid:
                logger.info("the master has ended: the worker ends, too")
                self._stop()
            await self._pause(LOOK_S)
        for server in servers:
            server.close()  # also lets go of the port: a new master may want it
        await self._finish(crowd)
        threads.shutdown(wait=False)

    async def _listen(self, listener: Any, host: Host) -> asyncio.Server:
        keep_little_unsent(listener)
        server = await self._loop.create_server(
            lambda: HttpConnection(host), sock=listener, backlog=ACCEPTED_AT_ONCE
        )
        listener.listen(self.cfg.backlog)  # so many may wait to be taken in
        return server

    async def _finish(self, crowd: Crowd) -> None:
        """Let requests end within the grace."""
        crowd.hurry(self._loop.time() + STOP_LINGER_S)
        began = self._loop.time()
        while len(crowd) and self._loop.time() - began < self._grace_s:
            self.notify()
            _sweep(crowd)
            await asyncio.sleep(0.05)
        crowd.abort()
        await asyncio.sleep(0)  # so that threads that wait for a client hear of it

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return


def _sweep(crowd: Crowd) -> None:
    """End whatever is late; the server lives on, whatever comes of that."""
    try:
        crowd.sweep()
    except Exception:
        logger.exception("connections are not looked after")


def _room_for(connections: int) -> int:
    """Return how many connections there can be: a process may have only so many files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft != resource.RLIM_INFINITY and soft < wanted:
        logger.warning("of API_CONNECTIONS=%d only %d fit", connections, soft - OTHER_FILES)
        return soft - OTHER_FILES
    return connections


def _log_loop_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what went wrong with a connection; the loop's own line would quote what was sent."""
    logger.error("a connection failed", exc_info=context.get("exception"))
