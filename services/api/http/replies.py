"""Answers as JSON, written by msgspec."""

from collections.abc import Mapping
from typing import Any

import msgspec
from flask import Response

_encode = msgspec.json.Encoder().encode


def reply(
    document: Any,
    status: int = 200,
    *,
    headers: Mapping[str, str] | None = None,
    content_type: str = "application/json",
) -> Response:
    """Return `document` as the body of an answer."""
    return Response(_encode(document), status, headers, content_type=content_type)
