"""The parameters of a query: those of its route in the OpenAPI document and each once, read by a model."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import partial
from itertools import islice
from typing import Any

from flask import Flask, request
from pydantic import BaseModel, BeforeValidator, ValidationError

from services.api.http.errors import InvalidParameters
from services.api.openapi import describe
from services.api.openapi.describe import Inputs, Part
from services.api.openapi.document import OPEN_TO_ANY_QUERY
from taskyard.faults import MAX_FAULTS
from taskyard.validation.field_words import field_words

_PARAMETER = re.compile(r"<(\w+)>")
_NONE: Mapping[str, Part] = {}
#: Described behind all others.
_OF_PAGE = frozenset({"limit", "cursor"})


def _integer(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


#: Reads the digits of a query as a whole number.
QueryInteger = BeforeValidator(_integer)


def install(app: Flask, inputs: Inputs) -> None:
    """Check every query to `app`, before a route reads it.

    Args:
        app: The application.
        inputs: What the routes take, as the OpenAPI document has it.
    """
    accepted = {
        route: {each["name"]: each["schema"] for each in given.parameters if each["in"] == "query"}
        for route, given in inputs.items()
    }
    app.before_request(partial(_check, accepted))


def _check(accepted: Mapping[tuple[str, str], Mapping[str, Part]]) -> None:
    """Refuse a query in which a parameter would be ignored.

    Raises:
        InvalidParameters: With each parameter that the route does not have, or that comes twice.
    """
    if not request.args or request.url_rule is None or request.method == "OPTIONS":
        return
    method = "get" if request.method == "HEAD" else request.method.lower()
    path = _PARAMETER.sub(r"{\1}", request.url_rule.rule)
    if path in OPEN_TO_ANY_QUERY:
        return
    faults = list(islice(_faults(accepted.get((method, path), _NONE)), MAX_FAULTS + 1))
    if faults:
        raise InvalidParameters(faults)


def _faults(accepted: Mapping[str, Part]) -> Iterator[tuple[str, str, str]]:
    for name, values in request.args.lists():
        if name not in accepted:
            yield name, "extra_forbidden", f"there is no such parameter here{_hint(name, accepted)}"
        elif len(values) > 1 and accepted[name].get("type") != "array":
            yield name, "duplicate_name", "it is given more than once"


def _hint(name: str, accepted: Mapping[str, Part]) -> str:
    near = get_close_matches(name[:100], accepted, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def from_query(model: type[Any]) -> Any:
    """Return the request's query as a `model`.

    Raises:
        InvalidParameters: With every parameter that is wrong.
    """
    given: dict[str, Any] = {name: request.args[name] for name in request.args}
    if "state" in given:
        given["state"] = ",".join(request.args.getlist("state")).split(",")
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise InvalidParameters(
            [
                (str(f["loc"][0]), f["type"], field_words(model, f))
                for f in error.errors(include_url=False, include_input=False)
            ]
        ) from None


def parameters(model: type[BaseModel]) -> tuple[dict[str, Any], ...]:
    """Return the descriptions of a model's fields as parameters of a query."""
    schema = model.model_json_schema()
    return tuple(
        describe.parameter(
            name,
            _plain(part),
            part["description"],
            example=next(iter(part.get("examples", [])), None),
        )
        for name, part in sorted(schema["properties"].items(), key=_is_of_page)
    )


def _is_of_page(field: tuple[str, Any]) -> bool:
    return field[0] in _OF_PAGE


def _plain(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return a field's schema as a query has it: there is no null in one."""
    kept = {k: v for k, v in part.items() if k not in ("title", "description", "anyOf")}
    if "anyOf" not in part:
        return kept
    kept.pop("default", None)
    return {**kept, **next(each for each in part["anyOf"] if each != {"type": "null"})}
