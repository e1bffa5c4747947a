"""Texts of others, cut to what they may take as JSON (six bytes a character, at most), or made visible."""

import json
from bisect import bisect_right
from collections.abc import Callable

import msgspec

#: What the words between the two ends take, at most.
_NOTE_BYTES = 60
#: What a character takes as JSON, at most.
_MOST_BYTES = 6


def json_bytes(text: str) -> int:
    """Return how many bytes a text takes as JSON, without its quotes."""
    return len(msgspec.json.encode(text)) - 2


def cut(text: str, max_bytes: int) -> str:
    """Return a text that takes at most `max_bytes` as JSON; where a longer one was cut off, it ends in `…`.

    What is no Unicode gets a form that can be sent, as in `both_ends`.
    """
    if len(text) * _MOST_BYTES <= max_bytes and text.isascii():
        return text
    start = _sendable(text[: max_bytes + 1])
    if json_bytes(start) <= max_bytes:
        return start
    room = max_bytes - len("…".encode())
    return start[: _fitting(len(start), room, lambda n: json_bytes(start[:n]))] + "…"


def visible(text: str) -> str:
    """Return a text where what does not show stands as in JSON: line ends, escapes, marks of direction.

    A name in a log or on a terminal can make no line of its own then, nor change those of others.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def both_ends(text: str, max_bytes: int) -> str:
    """Return a text that takes at most `max_bytes` as JSON, its middle left out if it is longer.

    What is no Unicode, such as the lone surrogates of a strange file name, gets a form that can be sent.

    Args:
        text: Any text.
        max_bytes: At least 100.
    """
    if len(text) <= max_bytes:
        whole = _sendable(text)
        if json_bytes(whole) <= max_bytes:
            return whole
    half_bytes = (max_bytes - _NOTE_BYTES) // 2
    start, end = _sendable(text[:half_bytes]), _sendable(text[-half_bytes:])
    head = start[: _fitting(len(start), half_bytes, lambda n: json_bytes(start[:n]))]
    skipped = len(end) - _fitting(len(end), half_bytes, lambda n: json_bytes(end[len(end) - n :]))
    tail = end[skipped:]
    return f"{head}\n… {len(text) - len(head) - len(tail)} characters left out …\n{tail}"


def _sendable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def _fitting(length: int, max_bytes: int, size: Callable[[int], int]) -> int:
    """Return the most characters of `length` whose size is within `max_bytes`."""
    return bisect_right(range(length + 1), max_bytes, key=size) - 1
