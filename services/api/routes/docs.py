"""The route of the reference page: the OpenAPI document for people, with nothing from elsewhere."""

import re
from pathlib import Path
from typing import Any

from apiflask import APIBlueprint
from flask import Response, current_app, render_template_string
from markupsafe import Markup, escape

from services.api.context import parts
from services.api.openapi import document
from services.api.openapi.schemas import TEXT
from taskyard.runtime.browsers import POLICY

blueprint = APIBlueprint("docs", __name__)

#: Where an application keeps its page, which is made once with and once without keys.
_KEY = "taskyard_reference"
_TEMPLATE = (Path(__file__).parent / "docs.html").read_text()
#: The page needs nothing but itself, and no script at all.
_POLICY = f"{POLICY}; style-src 'unsafe-inline'"


@blueprint.get("/docs")
@blueprint.doc(
    tags=["Operation"],
    responses=document.answers({200: document.other("The page.", "text/html", TEXT)}),
)
def reference() -> Response:
    """Return this API's reference as a page, which also works without the internet.

    It has the same as the document, without any script.
    """
    is_key_needed = parts().keyring.may_be_needed()
    made = current_app.extensions.setdefault(_KEY, {})
    if is_key_needed not in made:
        made[is_key_needed] = _page(document.document(is_key_needed=is_key_needed))
    headers = {"Content-Security-Policy": _POLICY}
    return Response(made[is_key_needed], headers=headers, content_type="text/html; charset=utf-8")


def _page(spec: dict[str, Any]) -> str:
    return render_template_string(
        _TEMPLATE, spec=spec, tags=_by_tag(spec), told=_told, marked=_marked
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


def _told(schema: Any) -> str:
    """Return a schema in a few words: its type, or the name of what it refers to."""
    if not isinstance(schema, dict):
        return "any"
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_told(each) for each in schema["anyOf"])
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_told(schema.get('items', True))}"
    limits = [
        f"{word} {schema[key]}"
        for key, word in (("minimum", "from"), ("maximum", "to"), ("maxLength", "up to"))
        if key in schema
    ]
    return " ".join([str(schema.get("format") or schema.get("type", "any")), *limits])
