"""The schemas of dead letters and replays."""

from typing import Any

from services.api.openapi.derived import schemas_of
from services.api.openapi.shapes import WHOLE, Schema, page_of, record
from services.api.routes.dead_letter_inputs import PurgeRequest, ReplayRequest
from taskyard.dead_letters.document import GroupDocument, LetterDocument, ReplayDocument


def _flat(schema: Schema) -> Schema:
    """Return pydantic's schema with its definitions in place of references to them."""
    definitions = schema.pop("$defs", {})

    def resolve(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                return resolve(definitions[value["$ref"].rpartition("/")[2]])
            return {key: resolve(part) for key, part in value.items()}
        return [resolve(part) for part in value] if isinstance(value, list) else value

    flat: Schema = resolve(schema)
    return flat


SCHEMAS: dict[str, Schema] = {
    **schemas_of(DeadLetter=LetterDocument, DeadLetterGroup=GroupDocument, Replay=ReplayDocument),
    "DeadLetterPage": page_of("DeadLetter"),
    "DeadLetterGroupPage": page_of("DeadLetterGroup"),
    "ReplayList": page_of("Replay"),
    "DeadLetterCount": record(
        matched={**WHOLE, "description": "How many fit."},
        done={**WHOLE, "description": "How many were taken; 0 for a dry run."},
    ),
    "PurgeRequest": _flat(PurgeRequest.model_json_schema()),
    "ReplayRequest": _flat(ReplayRequest.model_json_schema()),
}
