"""Who is connected, and which of them go first when there are too many or when they are too slow."""

import ipaddress
from collections.abc import Callable
from typing import Protocol

import msgspec

from services.api.http import request_metrics

#: A head may take so long, a body or an answer that much beside its size. Seconds.
PATIENCE_S = 5.0
#: Slower than this no client may send a body or take an answer. Bytes a second.
BYTES_PER_S = 64 * 1024
#: Who has less kept for it does not go for the room that it takes, as long as others have more. Bytes.
LARGE_BYTES = 64 * 1024
#: An IPv6 address counts by this part of it, which is what one customer of a provider has. Bits.
IPV6_NETWORK_BITS = 64


class Member(Protocol):
    """A connection, as far as it is known here."""

    #: Whom it comes from.
    address: str
    #: When it is too late for what it does, by the clock of the server.
    deadline: float
    #: Bytes that are kept for it.
    held_bytes: int

    def cut(self, reason: str) -> None:
        """End it: there are too many."""

    def expire(self) -> None:
        """End it: its time is over."""

    def abort(self) -> None:
        """End it at once."""


class Bounds(msgspec.Struct, frozen=True):
    """How much there may be at a time.

    Args:
        connections: Connections.
        unfinished: Connections of one address that send a request or take an answer; 0: any number.
        held_bytes: Bytes of requests and answers that are kept for them.
    """

    connections: int
    unfinished: int
    held_bytes: int


def allowed_s(body_bytes: int) -> float:
    """Return how long it may take to send so much. Seconds."""
    return PATIENCE_S + body_bytes / BYTES_PER_S


def origin(address: str) -> str:
    """Return what the connections of one client have in common."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        if mapped is not None:
            return str(mapped)
        return str(ipaddress.ip_network((parsed, IPV6_NETWORK_BITS), strict=False))
    return address


class Crowd:
    """All connections of a server.

    A connection is unfinished while it sends a request or takes an answer, it rests before and between
    requests, and is neither while it is being answered or ends. Where there are too many, the one that has
    been unfinished longest goes: a quick client gets through, whatever the others do.

    Args:
        bounds: How much there may be.
        clock: The time that deadlines are in, in seconds.
    """

    def __init__(self, bounds: Bounds, clock: Callable[[], float]) -> None:
        self._bounds = bounds
        self._clock = clock
        self._all: dict[Member, None] = {}
        #: In the order in which they began, as are all below.
        self._unfinished: dict[Member, None] = {}
        self._resting: dict[Member, None] = {}
        self._ending: dict[Member, None] = {}
        self._by_address: dict[str, dict[Member, None]] = {}
        self._held_bytes = 0

    def __len__(self) -> int:
        return len(self._all)

    @property
    def unfinished(self) -> int:
        """How many send a request or take an answer."""
        return len(self._unfinished)

    def enter(self, member: Member) -> None:
        """Take in a new connection."""
        self._all[member] = None
        if len(self._all) > self._bounds.connections:
            for oldest in self._ending or self._resting or self._unfinished:
                self._cut(oldest, "connections")
                break

    def leave(self, member: Member) -> None:
        """Forget a connection that is closed."""
        self.pause(member)
        self._all.pop(member, None)

    def begin(self, member: Member) -> None:
        """Take note that a connection begins to send or to take something."""
        self.pause(member)
        self._unfinished[member] = None
        same = self._by_address.setdefault(member.address, {})
        same[member] = None
        if 0 < self._bounds.unfinished < len(same):
            self._cut(next(iter(same)), "address")

    def rest(self, member: Member) -> None:
        """Take note that a connection waits for the client's next request, or its first."""
        self.pause(member)
        self._resting[member] = None

    def linger(self, member: Member) -> None:
        """Take note that a connection is at its end: it only has to get what it was sent."""
        self.pause(member)
        self._ending[member] = None

    def pause(self, member: Member) -> None:
        """Take note that a connection is not the client's now, but ours: it is being answered."""
        self._resting.pop(member, None)
        self._ending.pop(member, None)
        if member in self._unfinished:
            del self._unfinished[member]
            same = self._by_address[member.address]
            del same[member]
            if not same:
                del self._by_address[member.address]

    def hold(self, more_bytes: int) -> None:
        """Take note that so much more is kept; less if it is negative."""
        self._held_bytes += more_bytes
        while more_bytes > 0 and self._held_bytes > self._bounds.held_bytes and self._unfinished:
            large = (each for each in self._unfinished if each.held_bytes >= LARGE_BYTES)
            self._cut(next(large, next(iter(self._unfinished))), "memory")

    def sweep(self) -> None:
        """End whatever is late."""
        now = self._clock()
        for members in (self._unfinished, self._resting, self._ending):
            for member in [each for each in members if each.deadline <= now]:
                member.expire()

    def hurry(self, deadline: float) -> None:
        """Let nothing that rests last longer than this."""
        for member in self._resting:
            member.deadline = min(member.deadline, deadline)

    def abort(self) -> None:
        """End all that is left."""
        for member in list(self._all):
            member.abort()

    def _cut(self, member: Member, reason: str) -> None:
        self.pause(member)  # whatever it does, this is not chosen again
        request_metrics.CUT_OFF.labels(reason).inc()
        member.cut(reason)
