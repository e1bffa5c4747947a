"""The frames of deliveries, read in less time than pika takes: they are nearly all that a worker gets."""

import struct
from functools import lru_cache
from typing import Any

from pika import frame, spec
from pika.data import decode_short_string
from pika.spec import Basic

from taskyard.rabbitmq import lenient

#: Type, channel and size.
_HEAD = struct.Struct(">BHL")
_DELIVER = Basic.Deliver.INDEX.to_bytes(4)
_METHOD_AT = spec.FRAME_HEADER_SIZE
_DELIVER_AT = _METHOD_AT + len(_DELIVER)
#: The delivery tag, and whether it comes again; before and behind them are texts.
_TAG = struct.Struct(">Q?")


def read(buffer: bytes) -> tuple[int, Any]:
    """Return the frame that `buffer` begins with, and its length; 0 and None if it is not there as a whole.

    Raises:
        AMQPError: If it is no frame.
    """
    if buffer[0] == spec.FRAME_HEADER:
        return lenient.read_header(buffer) or frame.decode_frame(buffer)
    if len(buffer) > _HEAD.size:
        kind, channel, size = _HEAD.unpack_from(buffer)
        last = _HEAD.size + size
        if last < len(buffer) and buffer[last] == spec.FRAME_END:
            if kind == spec.FRAME_BODY:
                return last + 1, frame.Body(channel, buffer[_HEAD.size : last])
            if kind == spec.FRAME_METHOD and buffer[_METHOD_AT:_DELIVER_AT] == _DELIVER:
                return last + 1, frame.Method(channel, _deliver(buffer[_DELIVER_AT:last]))
    return frame.decode_frame(buffer)


def _deliver(raw: bytes) -> Basic.Deliver:
    tag_at = 1 + raw[0]
    tag, is_redelivered = _TAG.unpack_from(raw, tag_at)
    consumer_tag, exchange, routing_key = _texts(raw[:tag_at], raw[tag_at + _TAG.size :])
    return Basic.Deliver(consumer_tag, tag, is_redelivered, exchange, routing_key)


@lru_cache(maxsize=256)  # the same for all messages of a queue, unless producers route by many keys
def _texts(before: bytes, behind: bytes) -> tuple[str | bytes, str | bytes, str | bytes]:
    exchange, at = decode_short_string(behind, 0)
    return decode_short_string(before, 0)[0], exchange, decode_short_string(behind, at)[0]
