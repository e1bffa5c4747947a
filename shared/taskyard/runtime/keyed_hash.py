"""Digests and keys that only this installation can make, from a secret that its store keeps."""

import hmac
import secrets
import time
from collections.abc import Callable

from taskyard.errors import StoreUnavailable

#: How long the store's secret is believed to be the same, in seconds: one that lost it gets it back so soon.
TTL_S = 60.0
SECRET_BYTES = 32


class KeyedHash:
    """Makes digests of what is easily guessed, such as a PIN: without the secret nobody can try them all.

    All processes on one store make the same, also after a restart. A store that comes back empty is given the
    secret again by a process that has it.

    Args:
        secret: Gives the store's secret; what it is called with becomes that where there is none.
        clock: Gives seconds that only grow.
    """

    def __init__(
        self, secret: Callable[[bytes], bytes], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._of_store = secret
        self._clock = clock
        self._secret = b""
        self._read_at = float("-inf")

    def key(self, purpose: str) -> bytes:
        """Return a key of 32 bytes, another one for each purpose.

        Raises:
            StoreUnavailable: If the secret was never read, and the store does not answer.
        """
        return hmac.digest(self._current(), purpose.encode(), "sha256")

    def digest(self, purpose: str, data: bytes) -> str:
        """Return 64 hexadecimal digits that stand for `data`.

        Raises:
            StoreUnavailable: If the secret was never read, and the store does not answer.
        """
        return hmac.digest(self.key(purpose), data, "sha256").hex()

    def _current(self) -> bytes:
        if self._clock() - self._read_at > TTL_S:
            try:
                self._secret = self._of_store(self._secret or secrets.token_bytes(SECRET_BYTES))
            except StoreUnavailable:
                if not self._secret:
                    raise
            else:
                self._read_at = self._clock()
        return self._secret
