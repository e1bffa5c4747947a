from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

from .. import spec
from ..connection import Parameters
from ..frame import Method
from .select_connection import SelectConnection

class BlockingConnection:
    def __init__(
        self,
        parameters: Parameters | Sequence[Parameters] | None = None,
        _impl_class: type[SelectConnection] | None = None,
    ) -> None: ...
    @property
    def is_open(self) -> bool: ...
    def channel(self, channel_number: int | None = None) -> BlockingChannel: ...
    def close(self, reply_code: int = 200, reply_text: str = "Normal shutdown") -> None: ...
    def process_data_events(self, time_limit: float | None = 0) -> None: ...
    def add_on_connection_blocked_callback(
        self, callback: Callable[[BlockingConnection, Any], object]
    ) -> None: ...
    def sleep(self, duration: float) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, exc_type: object, value: object, traceback: object) -> None: ...

class BlockingChannel:
    connection: BlockingConnection
    @property
    def is_open(self) -> bool: ...
    def basic_ack(self, delivery_tag: int = 0, multiple: bool = False) -> None: ...
    def basic_nack(
        self, delivery_tag: int = 0, multiple: bool = False, requeue: bool = True
    ) -> None: ...
    def basic_reject(self, delivery_tag: int = 0, requeue: bool = True) -> None: ...
    def basic_consume(
        self,
        queue: str,
        on_message_callback: Callable[
            [BlockingChannel, spec.Basic.Deliver, spec.BasicProperties, bytes], object
        ],
        auto_ack: bool = False,
        exclusive: bool = False,
        consumer_tag: str | None = None,
        arguments: dict[str, Any] | None = None,
    ) -> str: ...
    def basic_get(
        self, queue: str, auto_ack: bool = False
    ) -> tuple[spec.Basic.GetOk, spec.BasicProperties, bytes] | tuple[None, None, None]: ...
    def basic_publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes | str,
        properties: spec.BasicProperties | None = None,
        mandatory: bool = False,
    ) -> None: ...
    def basic_qos(
        self, prefetch_size: int = 0, prefetch_count: int = 0, global_qos: bool = False
    ) -> None: ...
    def close(self, reply_code: int = 0, reply_text: str = "Normal shutdown") -> None: ...
    def confirm_delivery(self) -> None: ...
    def consume(
        self, queue: str, auto_ack: bool = False, inactivity_timeout: float | None = None
    ) -> Iterator[
        tuple[spec.Basic.Deliver, spec.BasicProperties, bytes] | tuple[None, None, None]
    ]: ...
    def exchange_declare(
        self,
        exchange: str,
        exchange_type: str = "direct",
        passive: bool = False,
        durable: bool = False,
        auto_delete: bool = False,
        internal: bool = False,
        arguments: dict[str, Any] | None = None,
    ) -> Method[spec.Exchange.DeclareOk]: ...
    def exchange_delete(
        self, exchange: str | None = None, if_unused: bool = False
    ) -> Method[spec.Exchange.DeleteOk]: ...
    def queue_bind(
        self,
        queue: str,
        exchange: str,
        routing_key: str | None = None,
        arguments: dict[str, Any] | None = None,
    ) -> Method[spec.Queue.BindOk]: ...
    def queue_declare(
        self,
        queue: str,
        passive: bool = False,
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = False,
        arguments: dict[str, Any] | None = None,
    ) -> Method[spec.Queue.DeclareOk]: ...
    def queue_delete(
        self, queue: str, if_unused: bool = False, if_empty: bool = False
    ) -> Method[spec.Queue.DeleteOk]: ...
    def queue_purge(self, queue: str) -> Method[spec.Queue.PurgeOk]: ...
