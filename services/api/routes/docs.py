"""The routes of the OpenAPI document: as it is for programs, and as a page for people."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from apiflask import APIBlueprint
from flask import Response, current_app, render_template_string
from markupsafe import Markup, escape

from services.api.context import context
from services.api.http.replies import reply
from services.api.openapi import describe, document
from services.api.openapi.shapes import TEXT
from taskyard.runtime.browsers import POLICY

blueprint = APIBlueprint("docs", __name__)

#: Where an application keeps what was made of its document.
_MADE = "taskyard_reference"
_TEMPLATE = (Path(__file__).parent / "docs.html").read_text()
#: The page needs nothing but itself, and no script at all.
_POLICY = f"{POLICY}; style-src 'unsafe-inline'"


@blueprint.get("/openapi.json", endpoint="openapi")
@blueprint.doc(
    tags=["Operation"],
    operation_id="openapi",
    responses=describe.answers(
        {200: describe.other("The document.", "application/json", {"type": "object"})}
    ),
)
def get_openapi() -> Response:
    """Return this document (OpenAPI 3.1).

    It is the same as long as the server runs.
    """
    return reply(_once("json", _encoded))


@blueprint.get("/docs")
@blueprint.doc(
    tags=["Operation"],
    responses=describe.answers({200: describe.other("The page.", "text/html", TEXT)}),
)
def reference() -> Response:
    """Return this API's reference as a page, which also works without the internet.

    It has the same as the document, without any script.
    """
    headers = {"Content-Security-Policy": _POLICY}
    return Response(_once("page", _page), headers=headers, content_type="text/html; charset=utf-8")


def _once(form: str, make: Callable[[dict[str, Any]], Any]) -> Any:
    """Return the document in this form, which is made once with and once without the need of a key."""
    is_key_needed = context().keyring.may_be_needed()
    made = current_app.extensions.setdefault(_MADE, {})
    if (form, is_key_needed) not in made:
        made[form, is_key_needed] = make(document.document(is_key_needed=is_key_needed))
    return made[form, is_key_needed]


def _encoded(spec: dict[str, Any]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(spec))


def _page(spec: dict[str, Any]) -> str:
    return render_template_string(
        _TEMPLATE, spec=spec, tags=_by_tag(spec), in_words=_in_words, marked=_marked
    )


def _by_tag(spec: dict[str, Any]) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    operations = [
        {**operation, "method": method.upper(), "path": path}
        for path, methods in spec["paths"].items()
        for method, operation in methods.items()
    ]
    return [
        (tag, [each for each in operations if tag["name"] in each["tags"]]) for tag in spec["tags"]
    ]


def _marked(text: str | None) -> Markup:
    """Return a text as HTML, what is in backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text or ""))))


def _in_words(schema: Any) -> str:
    """Return a schema in a few words: its type, or the name of what it refers to."""
    if not isinstance(schema, dict):
        return "any"
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_in_words(each) for each in schema["anyOf"])
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_in_words(schema.get('items', True))}"
    limits = [
        f"{word} {schema[key]}"
        for key, word in (("minimum", "from"), ("maximum", "to"), ("maxLength", "up to"))
        if key in schema
    ]
    return " ".join([str(schema.get("format") or schema.get("type", "any")), *limits])
