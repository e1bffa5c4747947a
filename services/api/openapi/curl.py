"""How a shell calls each operation: a curl command, made of what the OpenAPI document says of it."""

import shlex
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

Part = dict[str, Any]

#: The key of an operation under which tools that show OpenAPI look for such commands.
SAMPLES = "x-codeSamples"
_KEY_HEADER = '"Authorization: Bearer $API_KEY"'


def with_commands(document: Part) -> Part:
    """Return an OpenAPI document with the command of each operation."""
    schemas = document["components"]["schemas"]
    paths = {
        path: {
            method: {**operation, SAMPLES: [_sample(_command(schemas, method, path, operation))]}
            for method, operation in methods.items()
        }
        for path, methods in document["paths"].items()
    }
    return {**document, "paths": paths}


def _sample(command: str) -> Part:
    return {"lang": "Shell", "label": "curl", "source": command}


def _command(schemas: Part, method: str, path: str, operation: Part) -> str:
    """Return the command, with the values that the document has for examples.

    The address of the API and the key are read from the environment: `API_URL` and `API_KEY`.
    """
    body = _body(schemas, operation)
    options = [*_headers(operation)]
    if body is not None:
        options += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(_json(body))}"]
    call = f'{_call(method, operation, body)} "$API_URL{_url(path, operation)}"'
    return " \\\n  ".join([call, *options])


def _call(method: str, operation: Part, body: Any) -> str:
    implied = "get" if body is None else "post"
    is_stream = any(
        "text/event-stream" in each.get("content", {}) for each in operation["responses"].values()
    )
    words = ["curl -sS", "-N" * is_stream, f"-X {method.upper()}" * (method != implied)]
    return " ".join(word for word in words if word)


def _url(path: str, operation: Part) -> str:
    """Return path and query, in letters that mean nothing to a shell within double quotes."""
    values = dict(_examples(operation, "path"))
    filled = path.format(**{name: quote(str(value), safe="") for name, value in values.items()})
    query = urlencode([*_examples(operation, "query")], doseq=True, quote_via=quote)
    return f"{filled}?{query}" if query else filled


def _headers(operation: Part) -> Iterator[str]:
    if operation["security"] and {} not in operation["security"]:
        yield f"-H {_KEY_HEADER}"
    for name, value in _examples(operation, "header"):
        yield f"-H {shlex.quote(f'{name}: {value}')}"


def _body(schemas: Part, operation: Part) -> Any:
    """Return the first example of the body, or None where the operation has no body."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        name = content["schema"]["$ref"].rpartition("/")[2]
        return schemas[name]["examples"][0]
    return None


def _examples(operation: Part, place: str) -> Iterator[tuple[str, Any]]:
    """Give those parameters that the document has an example of."""
    for parameter in operation["parameters"]:
        if parameter["in"] == place and "example" in parameter:
            yield parameter["name"], parameter["example"]


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=0).decode()
