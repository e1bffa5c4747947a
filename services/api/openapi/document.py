"""The OpenAPI document: APIFlask reads the routes and their docstrings, the rest is added here."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from http import HTTPStatus
from types import ModuleType
from typing import Any

from apiflask import APIFlask
from flask import current_app

from services.api.auth import permissions
from services.api.openapi import curl, examples
from services.api.openapi.describe import HEADERS, Input, Inputs, Part, problems
from services.api.openapi.schemas import all_schemas
from services.api.openapi.shapes import TEXT, Schema, ref
from taskyard.config import Settings

_DESCRIPTION = """Self-hosted background jobs: submit them, follow them, cancel them.

The commands for a shell take the address of the API from `API_URL`, such as `http://127.0.0.1:5000`, and the
key, where one is needed, from `API_KEY`.

Errors are problems (RFC 9457). Besides those listed with each operation, any path may answer 405 with
`Allow`, and what is no proper request of HTTP, or comes too slowly, 400, 408, 413, 414, 417, 431, 501 or 503.

A query may have the parameters that its operation lists: any other, and one that is given twice, is
refused (422). Operations that show no jobs, such as health, ignore queries."""
_LIMIT_HEADERS = ("RateLimit-Policy", "RateLimit")
_REQUEST_ID: Part = {
    "name": "X-Request-Id",
    "in": "header",
    "description": "An id of the caller's choice for this request; one that is long or unsafe is replaced.",
    "schema": TEXT,
}


#: Where an application keeps its document.
_KEY = "taskyard_openapi"


#: Probes, scrapers and browsers ask for these with parameters of their own, as against caches.
OPEN_TO_ANY_QUERY = frozenset(
    {"/", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/asyncapi.json"}
)


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


def build(app: APIFlask, routes: Sequence[ModuleType], settings: Settings) -> None:
    """Make the document of all routes of `app`, once.

    Args:
        app: The application, with its routes.
        routes: Modules of routes; each may have `SCHEMAS` (by name) and `INPUTS`, for what it alone knows.
        settings: They say which routes ask for a key.

    Raises:
        ValueError: If two schemas have one name.
    """

    @cache
    def document(is_key_needed: bool) -> Part:
        return curl.with_commands(made if is_key_needed else _optional(made))

    schemas = collected([all_schemas(), *(getattr(each, "SCHEMAS", {}) for each in routes)])
    for name, bodies in examples.BODIES.items():
        schemas[name] = {**schemas[name], "examples": bodies}
    app.spec_processor(partial(_complete, schemas, inputs_of(routes), settings))
    made: Any = app.spec
    app.extensions[_KEY] = document


def collected(sources: Iterable[Mapping[str, Schema]]) -> dict[str, Schema]:
    """Return the schemas of all sources, by their names.

    Raises:
        ValueError: If two of them have one name: one would hide the other.
    """
    schemas: dict[str, Schema] = {}
    for source in sources:
        for name, schema in source.items():
            if name in schemas:
                raise ValueError(f"there are two schemas of the name {name!r}; give one another")
            schemas[name] = schema
    return schemas


def document(*, is_key_needed: bool) -> Part:
    """Return the document of the application at hand; `is_key_needed` says whether requests need a key."""
    made: Part = current_app.extensions[_KEY](is_key_needed)
    return made


def _complete(schemas: Part, inputs: Inputs, settings: Settings, spec: Any) -> Any:
    """Add what APIFlask cannot know: schemas, bodies, parameters, and what any route may answer."""
    spec["components"] = {"schemas": schemas, "securitySchemes": _SCHEMES}
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            operation["operationId"] = operation["operationId"].removeprefix(f"{method}_")
            given = inputs.get((method, path), Input())
            rule = permissions.of_path(method.upper(), path, settings)
            for status, problem in problems(*_general(path, given, rule)).items():
                operation["responses"].setdefault(str(status), problem)
            _secure(operation, rule)
            operation["parameters"] = [
                *(
                    each | examples.path_value(path, each["name"])
                    for each in operation["parameters"]
                ),
                *(_REQUEST_ID, *given.parameters),
            ]
            if given.body is not None:
                content = {"application/json": {"schema": ref(given.body)}}
                operation["requestBody"] = {
                    "required": not given.is_body_optional,
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


def _general(path: str, given: Input, rule: permissions.Rule | None) -> Iterator[HTTPStatus]:
    """Give what any operation like this one may answer: no route has to say it of itself."""
    if path not in OPEN_TO_ANY_QUERY:
        yield HTTPStatus.UNPROCESSABLE_ENTITY
    yield HTTPStatus.INTERNAL_SERVER_ERROR
    if given.body is not None:
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
    for answer in operation["responses"].values():
        answer.setdefault("headers", {}).update({name: HEADERS[name] for name in _LIMIT_HEADERS})


def _optional(spec: Any) -> Any:
    """Return the document for as long as there is no key: then none is needed."""
    paths = {
        path: {
            method: {**each, "security": [*each["security"], {}]} if each["security"] else each
            for method, each in methods.items()
        }
        for path, methods in spec["paths"].items()
    }
    return {**spec, "paths": paths}
