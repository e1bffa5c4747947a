"""How many wrong keys an address may send before it is not listened to for a while."""

import ipaddress
import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Any

from services.api.auth.errors import TooManyWrongKeys
from taskyard.keys import is_generated, token_id

logger = logging.getLogger(__name__)

#: So many wrong keys of an address are looked at within so many seconds, from the first of them on.
MAX_WRONG = 20
WINDOW_S = 60.0
#: Addresses, and keys with the addresses that they came from, that are remembered; of more, the newest.
MAX_REMEMBERED = 10_000
#: A caller with one IPv6 address usually has all that begin alike. Bits.
IPV6_PREFIX = 64


class WrongKeys:
    """The wrong keys that came lately, by the address that they came from; of this process.

    Behind a proxy all have the same address, and none shall lock out others there. So a key of taskyard's
    own making is looked at whatever came before: it cannot be guessed. One of an operator's making may be; it
    is looked at if it was right from that address before.

    Args:
        clock: Gives seconds that only grow.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        #: How many, and since when.
        self._wrong: dict[str, tuple[int, float]] = {}
        self._right: dict[tuple[str, str], None] = {}

    def check(self, address: str, token: str) -> None:
        """Let pass what may be looked at.

        Raises:
            TooManyWrongKeys: If the address has sent too many.
        """
        if not self._wrong or is_generated(token):
            return
        count, left_s = self._so_far(_network(address))
        came_from = address, token_id(token)
        if count >= MAX_WRONG and came_from not in self._right:
            raise TooManyWrongKeys(math.ceil(left_s))

    def wrong(self, address: str) -> None:
        """Note a wrong key.

        Raises:
            TooManyWrongKeys: If it is one too many.
        """
        network = _network(address)
        with self._lock:
            count, left_s = self._so_far(network)
            if count >= MAX_WRONG:
                raise TooManyWrongKeys(math.ceil(left_s))
            self._wrong.pop(network, None)
            _make_room(self._wrong)
            self._wrong[network] = (count + 1, self._clock() + left_s - WINDOW_S)
        if count + 1 == MAX_WRONG:
            logger.warning("too many wrong keys", extra={"address": network})

    def right(self, address: str, token: str) -> None:
        """Note a right key."""
        if is_generated(token):
            return
        came_from = address, token_id(token)
        if came_from not in self._right:
            with self._lock:
                _make_room(self._right)
                self._right[came_from] = None

    def _so_far(self, network: str) -> tuple[int, float]:
        """Return how many came in the window of now, and how long that lasts yet, in seconds."""
        count, since = self._wrong.get(network, (0, 0.0))
        left_s = since + WINDOW_S - self._clock()
        return (count, left_s) if count and left_s > 0 else (0, WINDOW_S)


def _make_room(remembered: dict[Any, Any]) -> None:
    """Forget the oldest where there are too many."""
    if len(remembered) >= MAX_REMEMBERED:
        del remembered[next(iter(remembered))]


def _network(address: str) -> str:
    """Return what an address is counted as: itself, or of IPv6 its network."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, IPV6_PREFIX), strict=False))
