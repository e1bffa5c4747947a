"""How many wrong keys an address may send before it is not listened to for a while."""

import ipaddress
import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Any

from services.api.refusals import TooManyWrongKeys

logger = logging.getLogger(__name__)

#: So many wrong keys of an address are looked at within so many seconds, from the first of them on.
MAX_WRONG = 20
WINDOW_S = 60.0
#: Addresses, and keys with the addresses that they came from, that are remembered; of more, the newest.
MAX_REMEMBERED = 10_000
#: Whoever has an IPv6 address usually has all with the same beginning. Bits.
IPV6_PREFIX = 64


class WrongKeys:
    """The wrong keys that came lately, by the address that they came from; of this process.

    A key that was right from an address before is looked at whatever else comes from there: behind a proxy
    all have the same address, and nobody can lock out those who are at work.

    Args:
        clock: Gives seconds that only grow.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        #: How many, and since when.
        self._wrong: dict[str, tuple[int, float]] = {}
        self._right: dict[tuple[str, str], None] = {}

    def check(self, address: str, key_id: str) -> None:
        """Let pass what may be looked at.

        Raises:
            TooManyWrongKeys: If the address has sent too many.
        """
        if self._wrong and (address, key_id) not in self._right:
            self._refuse_beyond(address)

    def wrong(self, address: str, key_id: str) -> None:
        """Note a wrong key.

        Raises:
            TooManyWrongKeys: If it is one of too many, as it is where the same id was right before.
        """
        if (address, key_id) in self._right:
            self._refuse_beyond(address)
        place, now = _place(address), self._clock()
        with self._lock:
            count, since = self._wrong.pop(place, (0, now))
            if now - since >= WINDOW_S:
                count, since = 0, now
            _make_room(self._wrong)
            self._wrong[place] = (count + 1, since)
        if count + 1 == MAX_WRONG:
            logger.warning("too many wrong keys", extra={"address": place})

    def right(self, address: str, key_id: str) -> None:
        """Note a right key."""
        if (address, key_id) not in self._right:
            with self._lock:
                _make_room(self._right)
                self._right[address, key_id] = None

    def _refuse_beyond(self, address: str) -> None:
        count, since = self._wrong.get(_place(address), (0, 0.0))
        left_s = since + WINDOW_S - self._clock()
        if count >= MAX_WRONG and left_s > 0:
            raise TooManyWrongKeys(math.ceil(left_s))


def _make_room(remembered: dict[Any, Any]) -> None:
    """Forget the oldest where there are too many."""
    if len(remembered) >= MAX_REMEMBERED:
        del remembered[next(iter(remembered))]


def _place(address: str) -> str:
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
