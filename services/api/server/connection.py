"""A connection of HTTP/1.1 as asyncio knows it: no thread waits for a client that sends or takes slowly.

A request is handed to a thread when it is whole, and the thread is free again when the answer is made.
"""

import asyncio
import math
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from services.api.http import request_metrics
from services.api.server.crowd import PATIENCE_S, Crowd, allowed_s, origin
from services.api.server.incoming import Incoming, RejectedRequest, refusal, tell_refused
from services.api.server.wsgi import ClientLeft

#: How long a client's idle connection is kept: longer than most clients keep theirs. Seconds.
KEEPALIVE_S = 30.0
#: How long we go on reading, and how much, from who is told that the connection ends: if we closed it with
#: something unread, the answer could be lost. Seconds, bytes.
LINGER_S = 2.0
LINGER_BYTES = 67_108_864
#: What a client may send of its next requests while one is answered. Bytes.
EARLY_BYTES = 65_536
#: What is given to the kernel at a time. Bytes.
SLICE_BYTES = 262_144
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Host(msgspec.Struct, frozen=True):
    """What a connection belongs to.

    Args:
        loop: What calls it.
        crowd: All connections.
        start: Has a request answered in a thread.
        incoming: Makes what reads a request.
        is_stopping: Whether no further requests are taken.
    """

    loop: asyncio.AbstractEventLoop
    crowd: Crowd
    start: Callable[["HttpConnection", Incoming], None]
    incoming: Callable[[], Incoming]
    is_stopping: Callable[[], bool]


class HttpConnection(asyncio.Protocol):
    """One connection; all but what its section below says is called by the loop."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._transport: Any = None
        self._request: Incoming | None = None
        self._is_answering = False
        self._is_closing = False
        self._is_full = False
        self._has_eof = False
        self._is_gone = False
        self._keeps_alive = True
        self._is_last = False
        self._early = bytearray()
        self._lingered_bytes = 0
        self._unsent: deque[memoryview] = deque()
        self.held_bytes = 0
        self._room = threading.Event()
        self._is_waited_for = False
        self._is_resting = True
        self._has_answered = False
        #: When the head, or the body, began.
        self._since = 0.0
        self.address = ""
        self.peer = self.local = ("", 0)
        self.deadline = math.inf

    # What clients do

    def connection_made(self, transport: Any) -> None:
        """Begin: the first request has to come soon."""
        self._transport = transport
        transport.set_write_buffer_limits(high=0)  # asyncio says when all is sent
        self.peer = _address(transport.get_extra_info("peername"))
        self.local = _address(transport.get_extra_info("sockname"))
        self.address = origin(self.peer[0])
        self._since = self._host.loop.time()
        self.deadline = self._since + PATIENCE_S
        self._host.crowd.enter(self)
        self._host.crowd.rest(self)

    def data_received(self, data: bytes) -> None:
        """Take what the client has sent."""
        if self._is_closing:
            self._lingered_bytes += len(data)
            if self._lingered_bytes > LINGER_BYTES:
                self.abort()
        elif self._is_answering:
            self._keep_early(data)
            if len(self._early) > EARLY_BYTES:
                self._transport.pause_reading()
        else:
            self._read(data)

    def eof_received(self) -> bool:
        """Return whether the client, which sends nothing more, is still to get an answer."""
        self._has_eof = True
        return self._is_answering and not self._is_closing

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client, and let the thread go that may wait for it."""
        self._is_gone = self._has_eof = True
        self._host.crowd.leave(self)
        self._release()
        self._room.set()

    def pause_writing(self) -> None:
        """Take note that the client takes nothing for now."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Go on: it has taken all that it was given."""
        self._is_full = False
        self._push()

    # What the crowd decides

    def cut(self, reason: str) -> None:
        """End it, as there are too many."""
        if self._is_resting:  # an answer now could be taken for that to the next request
            self._transport.close()
            return
        self._refuse(
            RejectedRequest(
                "too_many_connections",
                "there are too many connections, or too slow ones, from here or in all",
            )
        )
        if reason == "connections":  # others need its place now
            self._transport.close()

    def expire(self) -> None:
        """End it, as it took too long."""
        if self._is_answering or self._is_closing:
            if self._is_answering:
                request_metrics.CUT_OFF.labels("answer").inc()
            self.abort()
        elif self._request is None:
            self._transport.close()  # it never began to send anything
        else:
            request_metrics.CUT_OFF.labels("body" if self._request.is_begun else "head").inc()
            text = "the request did not come in time"
            self._refuse(RejectedRequest("request_timeout", text))

    def abort(self) -> None:
        """End it at once, whatever is still to be sent."""
        self._release()
        self._transport.abort()

    # What threads ask for

    def has_left(self) -> bool:
        """Return whether the client has closed its side."""
        return self._has_eof

    def will_close(self) -> bool:
        """Return whether no other request is taken after this."""
        return not self._keeps_alive or self._has_eof or self._host.is_stopping()

    def answer(self, *parts: bytes, is_last: bool) -> None:
        """Send a whole answer, or the end of one."""
        with suppress(RuntimeError):  # the loop has ended, and with it the connection
            self._host.loop.call_soon_threadsafe(self._answer, parts, is_last)

    def send(self, part: bytes) -> None:
        """Send a part of an answer, and wait until the client has taken it.

        Raises:
            ClientLeft: If it has left, or does not take it in time.
        """
        self._room.clear()
        if self._is_gone:
            raise ClientLeft
        try:
            self._host.loop.call_soon_threadsafe(self._send, part)
        except RuntimeError:
            raise ClientLeft from None
        self._room.wait()
        if self._is_gone:
            raise ClientLeft

    # Reading

    def _read(self, data: bytes) -> None:
        is_new, self._is_resting = self._request is None, False
        request = self._request = self._request or self._host.incoming()
        had_head = request.is_begun
        try:
            is_whole = request.feed(data)
        except RejectedRequest as refused:
            self._refuse(refused)
            return
        self._hold(len(data))
        if self._is_closing:  # there is too much
            return
        if is_whole:
            self._start(request)
        else:
            self._wait_for(request, is_new=is_new, is_head=request.is_begun and not had_head)

    def _wait_for(self, request: Incoming, *, is_new: bool, is_head: bool) -> None:
        """Say by when the next bytes are to come: the whole head, or the whole body."""
        if is_head or (is_new and self._has_answered):
            self._since = self._host.loop.time()
        if is_head and request.expects_continue:
            self._transport.write(_CONTINUE)
        self.deadline = self._since + request.may_take_s
        if is_new:
            self._host.crowd.begin(self)

    def _start(self, request: Incoming) -> None:
        self._is_answering = True
        self._keeps_alive = request.keeps_alive
        self._keep_early(request.rest)
        self.deadline = math.inf
        self._host.crowd.pause(self)
        self._host.start(self, request)

    def _refuse(self, refused: RejectedRequest) -> None:
        """Answer what no route sees, and end the connection."""
        if self._is_answering or self._is_closing:
            self.abort()
            return
        self._transport.write(refusal(refused, tell_refused(refused, self.peer[0])))
        self._close()

    # Answering

    def _answer(self, parts: tuple[bytes, ...], is_last: bool) -> None:
        if self._is_gone:
            return
        self._is_last = is_last
        self._request = None
        self._is_waited_for = False
        self._hold(sum(map(len, parts)) - self.held_bytes)
        self._put(*parts)

    def _send(self, part: bytes) -> None:
        if self._is_gone:
            self._room.set()
            return
        self._is_waited_for = True
        self._hold(len(part))
        self._put(part)

    def _put(self, *parts: bytes) -> None:
        if len(parts) > 1 and sum(map(len, parts)) <= SLICE_BYTES:
            parts = (b"".join(parts),)
        for part in parts:
            whole = memoryview(part)
            self._unsent.extend(
                whole[at : at + SLICE_BYTES] for at in range(0, len(whole), SLICE_BYTES)
            )
        size = sum(map(len, parts))
        self._push()
        if self._is_answering and not self._is_gone and (self._unsent or self._is_full):
            self.deadline = self._in(allowed_s(size))
            self._host.crowd.begin(self)

    def _push(self) -> None:
        while self._unsent and not self._is_full:
            if (
                self._transport.is_closing()
            ):  # connection_lost follows; asyncio logs each further part
                return
            self._transport.write(self._unsent.popleft())
        if not self._is_full and not self._is_gone and not self._is_closing:
            self._sent()

    def _sent(self) -> None:
        """All is with the kernel."""
        self._host.crowd.pause(self)
        self._hold(-self.held_bytes)
        if self._is_waited_for:
            self._is_waited_for = False
            self.deadline = math.inf
            self._room.set()
        elif self._request is None and self._is_answering:
            self._next()

    def _next(self) -> None:
        """The answer is sent: go on with the client's next request, or end."""
        self._is_answering = False
        if self._is_last or self.will_close():
            self._close()
            return
        self.deadline = self._in(KEEPALIVE_S)
        self._is_resting = self._has_answered = True
        self._host.crowd.rest(self)
        early = self._take_early()
        if len(early) > EARLY_BYTES:
            self._transport.resume_reading()
        if early:
            self._read(early)

    # Ending

    def _close(self) -> None:
        """End it so that the client still gets what it was sent."""
        self._is_closing = True
        self._is_answering = False
        self._request = None
        self._release()
        if self._has_eof or self._transport.is_closing():
            self._transport.close()
            return
        try:
            self._transport.write_eof()
        except OSError:  # it has left, and that is not read yet
            self._transport.abort()
            return
        self._transport.resume_reading()
        self.deadline = self._in(LINGER_S)
        self._host.crowd.linger(self)

    def _release(self) -> None:
        """Keep nothing for it any more."""
        self._unsent.clear()
        self._take_early()
        self._hold(-self.held_bytes)

    def _keep_early(self, data: bytes) -> None:
        self._early += data
        self._host.crowd.hold(len(data))

    def _take_early(self) -> bytes:
        early, self._early = bytes(self._early), bytearray()
        self._host.crowd.hold(-len(early))
        return early

    def _hold(self, more_bytes: int) -> None:
        self.held_bytes += more_bytes
        self._host.crowd.hold(more_bytes)

    def _in(self, seconds: float) -> float:
        return self._host.loop.time() + seconds


def _address(found: Any) -> tuple[str, int]:
    return (str(found[0]), int(found[1])) if isinstance(found, tuple) else ("", 0)


def keep_little_unsent(listener: socket.socket) -> None:
    """Have the kernel keep little of an answer that a client does not take."""
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if option is not None and listener.family in (socket.AF_INET, socket.AF_INET6):
        listener.setsockopt(socket.IPPROTO_TCP, option, SLICE_BYTES)
