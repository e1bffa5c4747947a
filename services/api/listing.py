"""The routes that find jobs: list them, count them."""

from urllib.parse import urlencode

from apiflask import APIBlueprint
from flask import Response, request

from services.api import openapi
from services.api.filters import JobFilter, ListQuery, from_query, parameters
from services.api.parts import parts
from services.api.problems import InvalidParameters
from services.api.replies import reply
from services.api.schemas import TEXT, WHOLE
from services.api.shapes import record
from taskyard.store.finding import InvalidCursor

blueprint = APIBlueprint("listing", __name__)


_BOOLEAN = {"type": "boolean"}
_CURSOR = {
    "anyOf": [TEXT, {"type": "null"}],
    "description": "Goes on from here; null: that was all.",
}


SCHEMAS = {
    "JobFilter": JobFilter.model_json_schema(),
    "JobPage": record(
        items={"type": "array", "items": {"$ref": "#/components/schemas/Job"}}, cursor=_CURSOR
    ),
    "JobCount": record(
        count=WHOLE,
        is_complete={**_BOOLEAN, "description": "False: there are at least so many."},
    ),
}
INPUTS = {
    ("get", "/v1/jobs"): openapi.Input(parameters=parameters(ListQuery)),
    ("get", "/v1/jobs/count"): openapi.Input(parameters=parameters(JobFilter)),
}
_LISTED = openapi.answers({200: openapi.answer("A page.", "JobPage", "Link")})
_COUNTED = openapi.answers({200: openapi.answer("The number.", "JobCount")})


@blueprint.get("/v1/jobs", endpoint="list")
@blueprint.doc(tags=["Jobs"], responses=_LISTED)
def list_jobs() -> Response:
    """List jobs, a page at a time.

    Each request looks at a bounded number of jobs: a page may be short or even empty and yet not be
    the last. Go on with `cursor`, or the link `next`, until there is none.
    """
    query = from_query(ListQuery)
    try:
        page = parts().store.find(
            query.wanted(), cursor=query.cursor, limit=query.limit, order=query.order
        )
    except InvalidCursor as error:
        detail = str(error).removeprefix("cursor: ")
        raise InvalidParameters([("cursor", "invalid", detail)]) from None
    headers = {} if page.cursor is None else {"Link": _next(page.cursor)}
    items = [parts().catalogue.document(job) for job in page.jobs]
    return reply({"items": items, "cursor": page.cursor}, headers=headers)


@blueprint.get("/v1/jobs/count")
@blueprint.doc(tags=["Jobs"], responses=_COUNTED)
def count() -> Response:
    """Count jobs.

    By state and queue the number is exact. With other filters the newest 10,000 jobs are looked at;
    `is_complete` says whether these were all.
    """
    found = parts().store.count(from_query(JobFilter).wanted())
    return reply({"count": found.count, "is_complete": found.is_complete})


def _next(cursor: str) -> str:
    query = [pair for pair in request.args.items(multi=True) if pair[0] != "cursor"]
    return f'<{request.path}?{urlencode([*query, ("cursor", cursor)])}>; rel="next"'
