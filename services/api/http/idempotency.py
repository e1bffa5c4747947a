"""`Idempotency-Key`: a request that is repeated with the same key has one effect and one answer.

The first request reserves the key with an id, from which the ids of its jobs are made, before it submits
them. So a repeated request, even after a crash in between, submits the same jobs, which is harmless.
"""

import contextlib
import hashlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from flask import Response, request

from services.api.auth.principal import current
from services.api.context import context
from services.api.http.errors import InvalidParameter
from services.api.openapi import describe
from taskyard.errors import KeyReused, Unavailable
from taskyard.message import new_id
from taskyard.store.replies import Reservation

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
#: How long a key is remembered, in milliseconds.
KEPT_MS = 24 * 3600 * 1000
_KEY = re.compile(r"[\x20-\x7e]{1,255}")
_encode = msgspec.json.Encoder(order="deterministic").encode

PARAMETER = describe.parameter(
    HEADER,
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
    "A repeated request with the same key and body has one effect; kept for 24 hours.",
    place="header",
)


class KeyedRequest:
    """One request with its idempotency key, if it has one.

    Args:
        kind: What the request does; the same key may not be used for another kind.
        body: The request.

    Raises:
        InvalidParameter: If the key is no good.
        KeyReused: If the key came with another body before.
    """

    def __init__(self, kind: str, body: Mapping[str, Any]) -> None:
        self._key = _key()
        mine = Reservation(_fingerprint(kind, body), new_id())
        self._reservation = mine
        if self._key is not None:
            self._reservation = context().store.reserve(_own(self._key), mine, KEPT_MS)
            if self._reservation.fingerprint != mine.fingerprint:
                raise KeyReused(self._key)
        #: Whether a request with this key was here before.
        self.is_repeated = self._reservation.base_id != mine.base_id

    @property
    def answer(self) -> Any:
        """What was answered before; None if there was no answer."""
        text = self._reservation.answer
        return msgspec.json.decode(text) if text else None

    @property
    def base_id(self) -> str:
        """The id from which those of the jobs are made."""
        return self._reservation.base_id

    def conclude(self, answer: Any) -> None:
        """Remember the answer; it counts even if the store is away just now."""
        if self._key is None:
            return
        text = msgspec.json.encode(answer).decode()
        with contextlib.suppress(Unavailable):
            done = msgspec.structs.replace(self._reservation, answer=text)
            context().store.conclude(_own(self._key), done)


def mark(response: Response, *, is_replayed: bool) -> Response:
    """Say in the headers whether this answer was given before."""
    if is_replayed:
        response.headers[REPLAYED] = "true"
    return response


def _key() -> str | None:
    key = request.headers.get(HEADER)
    if key is not None and not _KEY.fullmatch(key):
        raise InvalidParameter(HEADER, "must be 1 to 255 printable characters of ASCII")
    return key


def _own(key: str) -> str:
    """Return what `key` is remembered by: those of one API key are not those of its successor."""
    caller = current().key
    return key if caller is None else f"{caller.id}\n{key}"


def _fingerprint(kind: str, body: Mapping[str, Any]) -> str:
    return hashlib.sha256(kind.encode() + b"\n" + _encode(body)).hexdigest()
