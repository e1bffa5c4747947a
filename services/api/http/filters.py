"""What may be said of the jobs that are meant: the same fields in a query and in a body."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from flask import request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from services.api.auth import bindings
from services.api.http.errors import InvalidParameters
from services.api.openapi import describe
from taskyard.request import Name, Time
from taskyard.store.finding import Filter, Order
from taskyard.validation.field_words import field_words

StateName = Literal[
    "scheduled", "pending", "running", "retrying", "completed", "failed", "cancelled", "expired"
]
#: Names of states in a filter: more than there are, as one may come twice.
MAX_STATES = 20
Text = Annotated[str, Field(min_length=1, max_length=200)]


def _whole(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


class JobFilter(BaseModel):
    """Which jobs are meant: those that fit all of it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    state: list[StateName] = Field(
        default=[],
        max_length=MAX_STATES,
        description="In one of these states.",
        examples=[["failed"]],
    )
    queue: Name | None = Field(default=None, description="In this queue.")
    task: Name | None = Field(default=None, description="Of this task.")
    tag: Text | None = Field(default=None, description="With this tag.")
    origin: Text | None = Field(default=None, description="That came through this door.")
    created_after: Time | None = Field(
        default=None, description="Submitted at this time or later (RFC 3339)."
    )
    created_before: Time | None = Field(
        default=None, description="Submitted before this time (RFC 3339)."
    )
    error: Text | None = Field(
        default=None, description="A part of the latest error's type or message, in any case."
    )

    @property
    def is_empty(self) -> bool:
        """Whether it means all jobs."""
        return self._filter() == Filter()

    def store_filter(self) -> Filter:
        """Return the store's filter, for those of the jobs that the caller's key may access."""
        return bindings.narrow(self._filter())

    def _filter(self) -> Filter:
        return Filter(
            states=tuple(dict.fromkeys(self.state)),
            queue=self.queue or "",
            task=self.task or "",
            tag=self.tag or "",
            origin=self.origin or "",
            error=self.error or "",
            created_after_ms=_ms(self.created_after),
            created_before_ms=_ms(self.created_before),
        )


class ListQuery(JobFilter):
    """A page of the jobs that are meant."""

    order: Order = Field(
        default="created",
        description="`created`: newest first. `run_at`: those that wait for a time, soonest first.",
    )
    limit: Annotated[int, Field(ge=1, le=200), BeforeValidator(_whole)] = Field(
        default=50, description="How many at most.", examples=[20]
    )
    cursor: str | None = Field(
        default=None, description="Where to go on: the `cursor` of the page before."
    )


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
        for name, part in schema["properties"].items()
    )


def _plain(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return a field's schema as a query has it: there is no null in one."""
    kept = {k: v for k, v in part.items() if k not in ("title", "description", "anyOf")}
    if "anyOf" not in part:
        return kept
    kept.pop("default", None)
    return {**kept, **next(each for each in part["anyOf"] if each != {"type": "null"})}


def _ms(time: Any) -> int | None:
    return None if time is None else round(time.timestamp() * 1000)
