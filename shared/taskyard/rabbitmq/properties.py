"""Texts and numbers in AMQP properties: what AMQP takes, and what pika gives."""

from typing import Any

#: Longest text that AMQP takes as a property or a queue's name, in bytes.
MAX_PROPERTY_BYTES = 255


def property_text(text: str) -> str:
    """Return `text` as AMQP takes it in a property, cut to 255 bytes of UTF-8."""
    if len(text) <= MAX_PROPERTY_BYTES and text.isascii():
        return text
    return text.encode(errors="replace")[:MAX_PROPERTY_BYTES].decode(errors="ignore")


def received_text(value: str | bytes | None) -> str:
    """Return a property as text, empty where it is missing: pika gives what is not UTF-8 as bytes."""
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return value or ""


def received_number(value: Any, least: int, most: int) -> int | None:
    """Return a header as a number if it is a whole one within these bounds, or None.

    Of a long one pika makes a number of a type of its own, that others cannot write; true is none.
    """
    is_one = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
    return int(value) if is_one else None
