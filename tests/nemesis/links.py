"""The ways to the servers that can be broken: TCP proxies with a switch."""

import asyncio
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from taskyard.local_servers.ports import LOOPBACK, choose_port

#: `pass`: all goes through. `hole`: nothing does, and no connection is closed. `mute`: what is sent arrives,
#: and answers do not. Data that was held goes on its way when the link passes again.
Mode = Literal["pass", "hole", "mute"]

CHUNK_BYTES = 65_536
START_TIMEOUT_S = 10.0
#: For SO_LINGER: closed at once, with a reset.
RESET = struct.pack("ii", 1, 0)


@dataclass
class Link:
    """One way to a server; made by `Links.open`."""

    target_port: int
    port: int = field(default_factory=choose_port)
    #: Set while data may pass, to the server and from it.
    to_server: asyncio.Event = field(default_factory=asyncio.Event)
    to_client: asyncio.Event = field(default_factory=asyncio.Event)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def set_mode(self, mode: Mode) -> None:
        """Let pass what the mode lets pass; in the links' thread only."""
        for event, is_shut in ((self.to_server, mode == "hole"), (self.to_client, mode != "pass")):
            event.clear() if is_shut else event.set()

    def cut(self) -> None:
        """Reset all connections; in the links' thread only."""
        for writer in list(self.writers):
            with suppress(OSError):  # closed already
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, RESET
                )
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        self.writers.add(writer)
        try:
            with suppress(OSError, asyncio.CancelledError):  # cancelled when all links end
                await self._join(reader, writer)
        finally:
            self.writers.discard(writer)
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.to_server.wait()
        far_reader, far_writer = await asyncio.open_connection(LOOPBACK, self.target_port)
        self.writers.add(far_writer)
        try:
            await asyncio.gather(
                _pump(reader, far_writer, self.to_server), _pump(far_reader, writer, self.to_client)
            )
        finally:
            self.writers.discard(far_writer)
            far_writer.transport.abort()


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_open: asyncio.Event
) -> None:
    """Pass on one direction, its end included."""
    with suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            await is_open.wait()
            writer.write(data)
            await writer.drain()
    await is_open.wait()
    writer.close()


class Links:
    """All links of a stack, served by a thread of their own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="links", daemon=True)
        self._links: dict[str, Link] = {}
        self._servers: list[asyncio.Server] = []

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def open(self, name: str, target_port: int) -> int:
        """Open a link to a server's port on this machine; return the port that leads there."""
        link = self._links[name] = Link(target_port)
        link.set_mode("pass")
        serving = asyncio.start_server(link.serve, LOOPBACK, link.port)
        future = asyncio.run_coroutine_threadsafe(serving, self._loop)
        self._servers.append(future.result(START_TIMEOUT_S))
        return link.port

    def set_mode(self, name: str, mode: Mode) -> None:
        """Switch a link."""
        self._loop.call_soon_threadsafe(self._links[name].set_mode, mode)

    def lead(self, name: str, target_port: int) -> None:
        """Lead new connections of a link to another server, as a name does whose address has changed."""
        self._links[name].target_port = target_port

    def is_used(self, name: str) -> bool:
        """Return whether there is a connection over a link."""
        return bool(self._links[name].writers)

    def cut(self, name: str) -> None:
        """Reset all connections of a link; new ones pass as before."""
        self._loop.call_soon_threadsafe(self._links[name].cut)

    def stop(self) -> None:
        """Close everything."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(START_TIMEOUT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        for link in self._links.values():
            link.cut()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
