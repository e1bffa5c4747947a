"""What documents are made of: the kinds of their values, as JSON Schema describes each.

A document is a `TypedDict` that its renderer returns; the schemas that the API publishes are derived from it.
"""

from typing import Annotated

from msgspec import Meta

Whole = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]
#: As `job.rfc3339` writes it.
Time = Annotated[
    str,
    Meta(extra_json_schema={"format": "date-time", "examples": ["2026-11-24T10:00:00.123Z"]}),
]
