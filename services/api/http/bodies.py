"""What comes in with a request, read and checked as far as HTTP and JSON go."""

import contextlib
import math
from collections.abc import Callable
from typing import Any

from flask import request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from services.api.http.errors import InvalidParameter
from taskyard.errors import InvalidSubmission
from taskyard.faults import Fault
from taskyard.message import Undecodable
from taskyard.telemetry import trace_context
from taskyard.validation import strict_json


def json_object(max_bytes: int, *, setting: str = "PAYLOAD_MAX_BYTES") -> dict[str, Any]:
    """Return the JSON object in the body; `setting` is where its limit `max_bytes` comes from.

    Raises:
        HTTPException: 413 above `max_bytes`, 400 for what is no JSON, 415 for another content type.
        InvalidSubmission: If it is no object, or `strict_json` refuses it.
    """
    coding = request.headers.get("Content-Encoding", "identity")
    if coding.lower() != "identity":
        raise UnsupportedMediaType(f"the body must be sent as it is, not with {coding!r}")
    body = _body(max_bytes, setting)
    if request.mimetype != "application/json":
        if not body and not request.mimetype:
            raise BadRequest("the body is empty; send a JSON object")
        given = repr(request.mimetype) if request.mimetype else "none"
        raise UnsupportedMediaType(f"the content type must be application/json, not {given}")
    if not body:
        raise BadRequest("the body is empty; send a JSON object")
    return _object(body)


def optional_object(max_bytes: int) -> dict[str, Any]:
    """Return the JSON object in the body as `json_object` does; an empty one where there is no body.

    A body of unstated length is one: what it asks for must not be left out.
    """
    is_sent = request.content_length or "Transfer-Encoding" in request.headers
    return json_object(max_bytes) if is_sent or request.mimetype else {}


def _body(max_bytes: int, setting: str) -> bytes:
    # A body without a stated length is cut off at the limit: one byte more tells that it was longer.
    request.max_content_length = max_bytes + 1
    with contextlib.suppress(RequestEntityTooLarge):
        body = request.get_data(cache=False)
        if len(body) <= max_bytes:
            return body
    text = f"the body is larger than the {max_bytes} bytes of {setting}"
    raise RequestEntityTooLarge(text)


def _object(body: bytes) -> dict[str, Any]:
    try:
        data = strict_json.decode(body)
    except Undecodable as error:
        raise BadRequest(f"the body is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise InvalidSubmission([Fault("", "type", "the body must be a JSON object")])
    return data


def wait_s(max_s: float) -> float:
    """Return the query's `wait_s` in seconds; 0 where it is not given.

    Raises:
        InvalidParameter: If it is no number from 0 to `max_s`.
    """
    text = request.args.get("wait_s", "0")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= max_s:
        raise InvalidParameter("wait_s", f"must be a number of seconds from 0 to {max_s:g}")
    return value


def count(default: int, most: int) -> int:
    """Return the query's `count`.

    Raises:
        InvalidParameter: If it is no whole number from 1 to `most`.
    """
    text = request.args.get("count", str(default))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= most):
        raise InvalidParameter("count", f"must be a whole number from 1 to {most}")
    return int(text)


def accepted_version() -> Callable[[int | None], bool] | None:
    """Return what If-Match and If-None-Match say of a version (None: there is nothing); None without both."""
    conditions: list[Callable[[int | None], bool]] = []
    if "If-Match" in request.headers:
        wanted = request.if_match
        conditions.append(lambda version: version is not None and wanted.contains(str(version)))
    if "If-None-Match" in request.headers:
        unwanted = request.if_none_match
        conditions.append(
            lambda version: version is None or not unwanted.contains_weak(str(version))
        )
    return (lambda version: all(each(version) for each in conditions)) if conditions else None


def traceparent() -> str | None:
    """Return the caller's trace context (W3C), or None where there is none or it is no good."""
    return trace_context.valid(request.headers.get("traceparent"))
