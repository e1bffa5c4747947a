"""What a route says of itself for the OpenAPI document: its parameters, its body, its answers."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from services.api.openapi.shapes import TEXT, WHOLE, ref

#: The content type of errors (RFC 9457).
PROBLEM_TYPE = "application/problem+json"

Part = dict[str, Any]
#: As APIFlask wants it.
Described = dict[str, str | dict[str, dict[str, Any]]]
Responses = dict[int | str, Described]

#: The headers that an answer may have, by their names.
HEADERS: dict[str, Part] = {
    "RateLimit-Policy": {"description": "The limit of the key, if it has one.", "schema": TEXT},
    "RateLimit": {"description": "How many requests are left, and until when.", "schema": TEXT},
    "WWW-Authenticate": {"description": "How to send a key, and what it lacks.", "schema": TEXT},
    "X-Request-Id": {"description": "Id of this request, as in the log.", "schema": TEXT},
    "Idempotency-Replayed": {
        "description": "true: this answer was given before.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "Preference-Applied": {"description": "The wait that was kept to.", "schema": TEXT},
    "Location": {"description": "Where it is.", "schema": TEXT},
    "ETag": {"description": "Its version, for If-Match.", "schema": TEXT},
    "Link": {"description": "The next page, as `rel=next`, if there is one.", "schema": TEXT},
    "Retry-After": {"description": "Seconds until another try makes sense.", "schema": WHOLE},
}


class Input(msgspec.Struct, frozen=True):
    """What a route takes besides its path: the name of its body's schema, and parameters."""

    body: str | None = None
    parameters: tuple[Part, ...] = ()
    is_body_optional: bool = False


#: By method and path.
Inputs = Mapping[tuple[str, str], Input]


def parameter(
    name: str, schema: Part, description: str, *, place: str = "query", example: Any = None
) -> Part:
    """Return the description of an optional parameter; with an `example`, commands show it."""
    described = {"name": name, "in": place, "description": description, "schema": schema}
    return described if example is None else {**described, "example": example}


def answer(description: str, schema: str, *headers: str) -> Described:
    """Return the description of an answer in JSON.

    Args:
        description: When it is given.
        schema: Name of its schema.
        headers: Names of headers that it has besides those that all have.
    """
    return _response(description, "application/json", ref(schema), *headers)


def answers(own: Mapping[int, Described], *statuses: HTTPStatus) -> Responses:
    """Return the descriptions of a route's own answers.

    Args:
        own: By status.
        statuses: Of its problems; those that any route like it has are added to the document for all.
    """
    described: Responses = dict(own.items())
    return described | problems(*statuses)


def problems(*statuses: HTTPStatus) -> Responses:
    """Return the descriptions of problems, by their statuses."""
    return {
        status.value: _response(
            status.phrase, PROBLEM_TYPE, ref("Problem"), *_problem_headers(status)
        )
        for status in statuses
    }


def other(description: str, content_type: str, schema: Part) -> Described:
    """Return the description of an answer that is not one of the API's own documents."""
    return _response(description, content_type, schema)


def nothing(description: str) -> Described:
    """Return the description of an answer without a body."""
    return {"description": description, "headers": {"X-Request-Id": HEADERS["X-Request-Id"]}}


def _problem_headers(status: HTTPStatus) -> list[str]:
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        return ["Retry-After"]
    return ["WWW-Authenticate"] if status is HTTPStatus.UNAUTHORIZED else []


def _response(description: str, content_type: str, schema: Part, *headers: str) -> Described:
    return {
        "description": description,
        "content": {content_type: {"schema": schema}},
        "headers": {name: HEADERS[name] for name in ("X-Request-Id", *headers)},
    }
