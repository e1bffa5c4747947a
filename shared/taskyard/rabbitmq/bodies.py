"""Bodies that are larger than anybody reads: of these only the beginning is kept, while they come."""

import hashlib
from typing import Any

from pika import frame
from pika.channel import ContentFrameAssembler

#: How much is kept of a body that is not kept as a whole. Bytes.
BEGINNING_BYTES = 65_536


class Beginning(bytes):
    """The beginning of a body, which is never to be published as if it were the whole.

    Attributes:
        whole_bytes: How long the whole is.
        sha256: Of the whole, in 64 hexadecimal digits.
    """

    whole_bytes: int
    sha256: str

    @classmethod
    def of(cls, start: bytes, *, whole_bytes: int, sha256: str) -> "Beginning":
        """Return the beginning of a body, with what is known of the whole."""
        made = cls(start)
        made.whole_bytes, made.sha256 = whole_bytes, sha256
        return made


def whole_bytes(body: bytes) -> int:
    """Return how long a body is, or was."""
    return body.whole_bytes if isinstance(body, Beginning) else len(body)


def whole_sha256(body: bytes) -> str:
    """Return the SHA-256 of a body as it is, or was."""
    return body.sha256 if isinstance(body, Beginning) else hashlib.sha256(body).hexdigest()


def cut(body: bytes, max_bytes: int) -> bytes:
    """Return a body, or its beginning if it is longer than `max_bytes`."""
    if len(body) <= max_bytes:
        return body
    start = body[: min(BEGINNING_BYTES, max_bytes)]
    return Beginning.of(start, whole_bytes=whole_bytes(body), sha256=whole_sha256(body))


class Cutting(ContentFrameAssembler):
    """Puts messages together from their frames, and of bodies that are too long only the beginning.

    So nobody can fill the memory by a few messages: what is too long is never there as a whole.

    Args:
        max_bytes: Longest body that is kept as a whole.
    """

    def __init__(self, max_bytes: int) -> None:
        super().__init__()
        self._max_bytes = max_bytes
        self._start_bytes = min(BEGINNING_BYTES, max_bytes)
        self._digest: Any = None
        self._start = bytearray()

    def process(self, frame_value: Any) -> Any:
        """Take the next frame; return the message that it ends, or None."""
        if isinstance(frame_value, frame.Header) and frame_value.body_size > self._max_bytes:
            self._digest = hashlib.sha256()
            self._start = bytearray()
        return super().process(frame_value)

    def _handle_body_frame(self, body_frame: frame.Body) -> Any:
        if self._digest is None:
            return super()._handle_body_frame(body_frame)
        fragment = body_frame.fragment
        self._digest.update(fragment)
        self._start += fragment[: self._start_bytes - len(self._start)]
        # pika counts what came, and must not keep it.
        ended = super()._handle_body_frame(body_frame)
        self._body_fragments.clear()
        if ended is None:
            return None
        method, header, _ = ended
        digest, self._digest = self._digest, None
        body = Beginning.of(
            bytes(self._start), whole_bytes=header.body_size, sha256=digest.hexdigest()
        )
        return method, header, body
