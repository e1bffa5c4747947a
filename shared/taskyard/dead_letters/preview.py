"""What is shown of the body of a message that never was a job: as it was, but for secrets in it."""

from typing import Annotated, Any, TypedDict

import msgspec
from msgspec import Meta

from taskyard.arguments.secrets import HIDDEN, redacted
from taskyard.catalogue import Catalogue
from taskyard.message import Message
from taskyard.request import JobRequest
from taskyard.store.dead_letters import DeadLetter

#: Of submissions and messages.
_FIELDS = {*JobRequest.model_fields, *Message.__struct_encode_fields__}


class Preview(TypedDict):
    """The beginning of a message's body."""

    encoding: Annotated[str, Meta(extra_json_schema={"enum": ["text", "base64"]})]
    content: Annotated[str, Meta(description="At most the first 2048 bytes of the body.")]


def shown(letter: DeadLetter, catalogue: Catalogue) -> Preview:
    """Return the preview of a body.

    A body that can be read has its secret arguments hidden. Of one that cannot, or that was cut off, nobody
    knows where its secrets are: all of it is hidden, unless no task has any.
    """
    preview: Preview = {"encoding": letter.preview_encoding, "content": letter.preview}
    if not catalogue.has_secrets():
        return preview
    try:
        body = msgspec.json.decode(letter.preview)
    except (msgspec.DecodeError, RecursionError):
        return {"encoding": "text", "content": HIDDEN}
    several = body if isinstance(body, list) else [body]
    hidden = [_redacted(each, catalogue) for each in several]
    if hidden == several:
        return preview  # byte for byte
    visible = hidden if isinstance(body, list) else hidden[0]
    return {"encoding": "text", "content": msgspec.json.encode(visible).decode()}


def _redacted(body: Any, catalogue: Catalogue) -> Any:
    """Return a submission, or a message, with what is secret hidden."""
    if not isinstance(body, dict):
        return HIDDEN
    task = body.get("task", body.get("actor_name"))
    signature = catalogue.signature(task) if isinstance(task, str) else None
    if signature is not None and not signature.get("secret"):
        return body
    args, kwargs = body.get("args"), body.get("kwargs")
    args = args if isinstance(args, list) else []
    kwargs = kwargs if isinstance(kwargs, dict) else {}
    visible = {
        **body,
        **dict(zip(("args", "kwargs"), redacted(signature, args, kwargs), strict=True)),
    }
    # A field that is not known may be a misspelt one of arguments.
    return {name: visible[name] if name in _FIELDS else HIDDEN for name in body}
