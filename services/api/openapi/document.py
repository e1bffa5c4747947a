"""The OpenAPI document: APIFlask reads the routes and their texts, the rest is said here."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from http import HTTPStatus
from types import ModuleType
from typing import Any

import msgspec
from apiflask import APIFlask
from flask import Response, current_app

from services.api.auth import permissions
from services.api.context import parts
from services.api.http.problems import CONTENT_TYPE as PROBLEM_TYPE
from services.api.http.replies import reply
from services.api.openapi import curl, examples
from services.api.openapi.schemas import TEXT, WHOLE, all_schemas, ref
from taskyard.config import Settings

Part = dict[str, Any]
#: As APIFlask wants it.
Described = dict[str, str | dict[str, dict[str, Any]]]
Responses = dict[int | str, Described]

_DESCRIPTION = """Self-hosted background jobs: submit them, follow them, cancel them.

The commands for a shell take the address of the API from `API_URL`, such as `http://127.0.0.1:5000`, and the
key, where one is needed, from `API_KEY`.

Errors are problems (RFC 9457). Besides those that are told of each operation, any path may answer 405 with
`Allow`, and what is no proper request of HTTP, or comes too slowly, 400, 408, 413, 414, 417, 431, 501 or 503.

A query may have the parameters that are told of its operation: any other, and one that is given twice, is
refused (422). Operations that tell nothing of jobs, such as health, ignore queries."""
_LIMIT_HEADERS = ("RateLimit-Policy", "RateLimit")
_HEADERS: dict[str, Part] = {
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
_REQUEST_ID: Part = {
    "name": "X-Request-Id",
    "in": "header",
    "description": "An id of the caller's choice for this request; one that is long or unsafe is replaced.",
    "schema": TEXT,
}


#: Where an application keeps its document.
_KEY = "taskyard_openapi"


@dataclass(frozen=True)
class Input:
    """What a route takes besides its path: the name of its body's schema, and parameters."""

    body: str | None = None
    parameters: tuple[Part, ...] = ()
    is_body_optional: bool = False


#: Probes, scrapers and browsers ask for these with parameters of their own, as against caches.
OPEN_TO_ANY_QUERY = frozenset(
    {"/", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/asyncapi.json"}
)

#: By method and path.
Inputs = Mapping[tuple[str, str], Input]


def parameter(
    name: str, schema: Part, description: str, *, place: str = "query", example: Any = None
) -> Part:
    """Return the description of an optional parameter; with an `example`, commands show it."""
    told = {"name": name, "in": place, "description": description, "schema": schema}
    return told if example is None else {**told, "example": example}


def answer(description: str, schema: str, *headers: str) -> Described:
    """Return the description of an answer in JSON.

    Args:
        description: When it is given.
        schema: Name of its schema.
        headers: Names of headers that it has besides those that all have.
    """
    return _response(description, "application/json", ref(schema), *headers)


def answers(told: Mapping[int, Described], *statuses: HTTPStatus) -> Responses:
    """Return the descriptions of a route's own answers.

    Args:
        told: By status.
        statuses: Of its problems. Those of `_general`, which any route like it has, are told without it.
    """
    own: Responses = dict(told.items())
    return own | _problems(*statuses)


def _problems(*statuses: HTTPStatus) -> Responses:
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
    return {"description": description, "headers": {"X-Request-Id": _HEADERS["X-Request-Id"]}}


def _problem_headers(status: HTTPStatus) -> list[str]:
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        return ["Retry-After"]
    return ["WWW-Authenticate"] if status is HTTPStatus.UNAUTHORIZED else []


def _response(description: str, content_type: str, schema: Part, *headers: str) -> Described:
    return {
        "description": description,
        "content": {content_type: {"schema": schema}},
        "headers": {name: _HEADERS[name] for name in ("X-Request-Id", *headers)},
    }


def configure(app: APIFlask) -> None:
    """Have APIFlask say no more than is true of this API."""
    app.description = _DESCRIPTION
    app.tags = [
        {"name": "Jobs", "description": "Submit, follow and cancel jobs."},
        {"name": "Schedules", "description": "Run tasks again and again."},
        {"name": "Dead letters", "description": "What died, and how to bring it back."},
        {"name": "Catalogue", "description": "What can be done, by whom, and what waits."},
        {"name": "Controls", "description": "Pause tasks and queues, limit tasks."},
        {"name": "Operation", "description": "Health, metrics and this document."},
    ]
    app.config.update(
        AUTO_200_RESPONSE=False,
        AUTO_404_RESPONSE=False,
        AUTO_OPERATION_ID=True,
        AUTO_SERVERS=False,
    )


def inputs_of(routes: Iterable[ModuleType]) -> Inputs:
    """Return what these modules of routes say in their `INPUTS`."""
    found: dict[tuple[str, str], Input] = {}
    for module in routes:
        found |= getattr(module, "INPUTS", {})
    return found


def publish(app: APIFlask, routes: Iterable[ModuleType], settings: Settings) -> None:
    """Answer `GET /openapi.json` with the document of all routes, made once.

    Args:
        app: The application, with its routes.
        routes: Modules of routes; each may have `SCHEMAS` (by name) and `INPUTS`, for what it alone knows.
        settings: They say which routes ask for a key.
    """
    told = other("The document.", "application/json", {"type": "object"})

    @app.get("/openapi.json", endpoint="openapi")
    @app.doc(tags=["Operation"], responses=answers({200: told}))
    def get_openapi() -> Response:
        """Return this document (OpenAPI 3.1).

        It is the same as long as the server runs.
        """
        return reply(encoded(parts().keyring.may_be_needed()))

    @cache
    def encoded(is_key_needed: bool) -> msgspec.Raw:
        return msgspec.Raw(msgspec.json.encode(document(is_key_needed)))

    @cache
    def document(is_key_needed: bool) -> Part:
        return curl.with_commands(made if is_key_needed else _optional(made))

    schemas = all_schemas()
    for module in routes:
        schemas |= getattr(module, "SCHEMAS", {})
    for name, bodies in examples.BODIES.items():
        schemas[name] = {**schemas[name], "examples": bodies}
    app.spec_processor(partial(_complete, schemas, inputs_of(routes), settings))
    made: Any = app.spec
    app.extensions[_KEY] = document


def document(*, is_key_needed: bool) -> Part:
    """Return the document that the application at hand publishes."""
    made: Part = current_app.extensions[_KEY](is_key_needed)
    return made


def _complete(schemas: Part, inputs: Inputs, settings: Settings, spec: Any) -> Any:
    """Add what APIFlask cannot know: schemas, bodies, parameters, and what any route may answer."""
    spec["components"] = {"schemas": schemas, "securitySchemes": _SCHEMES}
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            operation["operationId"] = operation["operationId"].removeprefix(f"{method}_")
            told = inputs.get((method, path), Input())
            rule = permissions.of_path(method.upper(), path, settings)
            for status, problem in _problems(*_general(path, told, rule)).items():
                operation["responses"].setdefault(str(status), problem)
            _secure(operation, rule)
            operation["parameters"] = [
                *(
                    each | examples.path_value(path, each["name"])
                    for each in operation["parameters"]
                ),
                *(_REQUEST_ID, *told.parameters),
            ]
            if told.body is not None:
                content = {"application/json": {"schema": ref(told.body)}}
                operation["requestBody"] = {
                    "required": not told.is_body_optional,
                    "content": content,
                }
    return spec


#: The two ways to send a key. What it must be allowed is with each operation.
_SCHEMES: Part = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "keyHeader": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The same, for clients that cannot set Authorization.",
    },
}


def _general(path: str, told: Input, rule: permissions.Rule | None) -> Iterator[HTTPStatus]:
    """Give what any operation like this one may answer: no route has to say it of itself."""
    if path not in OPEN_TO_ANY_QUERY:
        yield HTTPStatus.UNPROCESSABLE_ENTITY
    yield HTTPStatus.INTERNAL_SERVER_ERROR
    if told.body is not None:
        yield HTTPStatus.BAD_REQUEST
        yield HTTPStatus.REQUEST_TIMEOUT
        yield HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        yield HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    if rule is not None:
        yield HTTPStatus.UNAUTHORIZED
        yield HTTPStatus.FORBIDDEN
        yield HTTPStatus.TOO_MANY_REQUESTS
        yield HTTPStatus.SERVICE_UNAVAILABLE


def _secure(operation: Part, rule: permissions.Rule | None) -> None:
    """Say what a key needs for an operation, and that each answer tells of its limit."""
    if rule is None:
        operation["security"] = []
        return
    operation["security"] = [{scheme: list(rule.scopes)} for scheme in _SCHEMES]
    needed = " and ".join(f"`{scope}`" for scope in rule.scopes)
    text = f"{operation.get('description', '')}\n\nNeeds {needed}."
    operation["description"] = text.strip()
    for told in operation["responses"].values():
        told.setdefault("headers", {}).update({name: _HEADERS[name] for name in _LIMIT_HEADERS})


def _optional(spec: Any) -> Any:
    """Return the document for as long as there is no key: then none is needed."""
    paths = {
        path: {
            method: {**told, "security": [*told["security"], {}]} if told["security"] else told
            for method, told in methods.items()
        }
        for path, methods in spec["paths"].items()
    }
    return {**spec, "paths": paths}
