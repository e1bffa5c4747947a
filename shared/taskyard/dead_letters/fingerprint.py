"""Fingerprints of failures: those that an operator would call the same have the same one."""

import hashlib
import re

#: Innermost frames of the user's code that count.
FRAMES = 3
#: Longest error text that counts, in characters.
MESSAGE_CHARS = 500

_VARYING = (
    (re.compile(r"\b[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\b", re.IGNORECASE), "<uuid>"),
    (re.compile(r"'[^'\n]*'|\"[^\"\n]*\""), "<text>"),
    (re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE), "<hex>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b", re.IGNORECASE), "<hex>"),
    (re.compile(r"\d+(?:[.,:]\d+)*"), "<n>"),
)
_FRAME = re.compile(r'^  File "([^"]+)", line \d+, in (.+)$', re.MULTILINE)
_LIBRARY = re.compile(r"/(?:site|dist)-packages/|/lib/python\d|^<frozen ")


def fingerprint(task: str, error_type: str, message: str, traceback: str = "") -> str:
    """Return 16 hex digits of task, error type, message without what varies, and innermost frames.

    Line numbers do not count, so an edit elsewhere in a file makes no new group.
    """
    parts = (task, error_type, normalised(message), *user_frames(traceback))
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()[:16]


def normalised(message: str) -> str:
    """Return a message with numbers, ids and quoted texts replaced by placeholders."""
    text = message[:MESSAGE_CHARS]
    for pattern, placeholder in _VARYING:
        text = pattern.sub(placeholder, text)
    return text


def user_frames(traceback: str) -> list[str]:
    """Return file and function of the innermost frames that are not a library's."""
    frames = [
        f"{'/'.join(path.split('/')[-2:])}:{function}"
        for path, function in _FRAME.findall(traceback)
        if not _LIBRARY.search(path)
    ]
    return frames[-FRAMES:]
