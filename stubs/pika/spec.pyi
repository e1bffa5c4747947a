from typing import Any, Self

class Basic:
    class Ack:
        delivery_tag: int
        multiple: bool

    class Nack:
        delivery_tag: int
        multiple: bool
        requeue: bool

    class CancelOk:
        consumer_tag: str

    class ConsumeOk:
        consumer_tag: str

    class QosOk: ...

    class Deliver:
        INDEX: int
        consumer_tag: str
        delivery_tag: int
        redelivered: bool
        exchange: str
        routing_key: str
        def __init__(
            self,
            consumer_tag: str | bytes | None = None,
            delivery_tag: int | None = None,
            redelivered: bool = False,
            exchange: str | bytes | None = None,
            routing_key: str | bytes | None = None,
        ) -> None: ...

    class GetOk:
        delivery_tag: int
        redelivered: bool
        exchange: str
        routing_key: str
        message_count: int

    class Return:
        reply_code: int
        reply_text: str
        exchange: str
        routing_key: str

class Channel:
    class CloseOk: ...

class Confirm:
    class SelectOk: ...

class Connection:
    class Blocked:
        reason: str

    class Unblocked: ...

class Exchange:
    class DeclareOk: ...
    class DeleteOk: ...

class Queue:
    class BindOk: ...

    class DeclareOk:
        queue: str
        message_count: int
        consumer_count: int

    class DeleteOk:
        message_count: int

    class PurgeOk:
        message_count: int

FRAME_BODY: int
FRAME_HEADER: int
FRAME_METHOD: int
FRAME_HEADER_SIZE: int
FRAME_END: int
FRAME_END_SIZE: int

class BasicProperties:
    FLAG_CONTENT_TYPE: int
    FLAG_CONTENT_ENCODING: int
    FLAG_HEADERS: int
    content_type: str | None
    content_encoding: str | None
    headers: dict[str, Any] | None
    delivery_mode: int | None
    priority: int | None
    correlation_id: str | None
    reply_to: str | None
    expiration: str | None
    message_id: str | None
    timestamp: int | None
    type: str | None
    user_id: str | None
    app_id: str | None
    cluster_id: str | None
    def __init__(
        self,
        content_type: str | None = None,
        content_encoding: str | None = None,
        headers: dict[str, Any] | None = None,
        delivery_mode: int | None = None,
        priority: int | None = None,
        correlation_id: str | None = None,
        reply_to: str | None = None,
        expiration: str | None = None,
        message_id: str | None = None,
        timestamp: int | None = None,
        type: str | None = None,
        user_id: str | None = None,
        app_id: str | None = None,
        cluster_id: str | None = None,
    ) -> None: ...
    def encode(self) -> list[bytes]: ...
    def decode(self, encoded: bytes, offset: int = 0) -> Self: ...
