from typing import Generic, TypeVar

from .spec import BasicProperties

M = TypeVar("M", covariant=True)

class Method(Generic[M]):
    """A method from the broker, as callbacks get it."""

    @property
    def channel_number(self) -> int: ...
    @property
    def method(self) -> M: ...

class Header:
    properties: BasicProperties
