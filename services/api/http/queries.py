"""Which parameters a query may have: those of its route in the OpenAPI document, each of them once."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import partial
from itertools import islice

from flask import Flask, request

from services.api.http.errors import InvalidParameters
from services.api.openapi.describe import Inputs, Part
from services.api.openapi.document import OPEN_TO_ANY_QUERY
from taskyard.errors import MAX_FAULTS

_PARAMETER = re.compile(r"<(\w+)>")
_NONE: Mapping[str, Part] = {}


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
