from collections.abc import Callable
from typing import Any

from . import spec
from .frame import Body, Header, Method

class ContentFrameAssembler:
    """Puts messages together from their frames."""

    _body_fragments: list[bytes]
    def process(self, frame_value: Any) -> tuple[Method[Any], Header, bytes] | None: ...
    def _handle_body_frame(self, body_frame: Body) -> tuple[Method[Any], Header, bytes] | None: ...

class Channel:
    """A channel of a `SelectConnection`: calls return at once, answers come to callbacks."""

    channel_number: int
    is_open: bool
    is_closing: bool
    is_closed: bool
    def add_on_close_callback(self, callback: Callable[[Channel, Exception], object]) -> None: ...
    def add_on_cancel_callback(self, callback: Callable[[Method[Any]], object]) -> None: ...
    def add_on_return_callback(
        self,
        callback: Callable[[Channel, spec.Basic.Return, spec.BasicProperties, bytes], object],
    ) -> None: ...
    def confirm_delivery(
        self,
        ack_nack_callback: Callable[[Method[spec.Basic.Ack | spec.Basic.Nack]], object],
        callback: Callable[[Method[spec.Confirm.SelectOk]], object] | None = None,
    ) -> None: ...
    def basic_ack(self, delivery_tag: int = 0, multiple: bool = False) -> None: ...
    def basic_nack(
        self, delivery_tag: int = 0, multiple: bool = False, requeue: bool = True
    ) -> None: ...
    def basic_cancel(
        self,
        consumer_tag: str = "",
        callback: Callable[[Method[spec.Basic.CancelOk]], object] | None = None,
    ) -> None: ...
    def basic_consume(
        self,
        queue: str,
        on_message_callback: Callable[
            [Channel, spec.Basic.Deliver, spec.BasicProperties, bytes], object
        ],
        auto_ack: bool = False,
        exclusive: bool = False,
        consumer_tag: str | None = None,
        arguments: dict[str, Any] | None = None,
        callback: Callable[[Method[spec.Basic.ConsumeOk]], object] | None = None,
    ) -> str: ...
    def basic_publish(
        self,
        exchange: str | bytes,
        routing_key: str | bytes,
        body: bytes,
        properties: spec.BasicProperties | None = None,
        mandatory: bool = False,
    ) -> None: ...
    def basic_qos(
        self,
        prefetch_size: int = 0,
        prefetch_count: int = 0,
        global_qos: bool = False,
        callback: Callable[[Method[spec.Basic.QosOk]], object] | None = None,
    ) -> None: ...
    def close(self, reply_code: int = 0, reply_text: str = "Normal shutdown") -> None: ...
    def exchange_declare(
        self,
        exchange: str,
        exchange_type: str = "direct",
        passive: bool = False,
        durable: bool = False,
        auto_delete: bool = False,
        internal: bool = False,
        arguments: dict[str, Any] | None = None,
        callback: Callable[[Method[spec.Exchange.DeclareOk]], object] | None = None,
    ) -> None: ...
    def queue_bind(
        self,
        queue: str,
        exchange: str,
        routing_key: str | None = None,
        arguments: dict[str, Any] | None = None,
        callback: Callable[[Method[spec.Queue.BindOk]], object] | None = None,
    ) -> None: ...
    def queue_declare(
        self,
        queue: str,
        passive: bool = False,
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = False,
        arguments: dict[str, Any] | None = None,
        callback: Callable[[Method[spec.Queue.DeclareOk]], object] | None = None,
    ) -> None: ...
