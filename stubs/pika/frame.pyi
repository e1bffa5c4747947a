from typing import Any, Generic, TypeVar

from .spec import BasicProperties

M = TypeVar("M", covariant=True)

class Method(Generic[M]):
    """A method from the broker, as callbacks get it."""

    @property
    def channel_number(self) -> int: ...
    @property
    def method(self) -> M: ...

class Header:
    channel_number: int
    body_size: int
    properties: BasicProperties
    def __init__(self, channel_number: int, body_size: int, props: BasicProperties) -> None: ...
    def marshal(self) -> bytes: ...

class Heartbeat:
    def marshal(self) -> bytes: ...

def decode_frame(data_in: bytes) -> tuple[int, Any]: ...
