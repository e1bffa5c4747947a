"""The routes that find jobs: list them, count them."""

from apiflask import APIBlueprint
from flask import Response

from services.api import openapi, paging
from services.api.filters import JobFilter, ListQuery, from_query, parameters
from services.api.parts import parts
from services.api.replies import reply
from services.api.schemas import WHOLE
from services.api.shapes import record

blueprint = APIBlueprint("listing", __name__)


_BOOLEAN = {"type": "boolean"}


SCHEMAS = {
    "JobFilter": JobFilter.model_json_schema(),
    "JobPage": record(
        items={"type": "array", "items": {"$ref": "#/components/schemas/Job"}}, cursor=paging.NEXT
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

    Each request looks at a bounded number of jobs, and a page ends at about 8 MiB: it may be short or
    even empty and yet not be the last. Go on with `cursor`, or the link `next`, until there is none.
    """
    query = from_query(ListQuery)
    of = f"jobs by {query.order}"
    page = parts().store.find(
        query.wanted(), cursor=paging.cursor(of), limit=query.limit, order=query.order
    )
    following = paging.sealed(page.cursor, of)
    items = [parts().catalogue.document(job) for job in page.jobs]
    return reply({"items": items, "cursor": following}, headers=paging.link(following))


@blueprint.get("/v1/jobs/count")
@blueprint.doc(tags=["Jobs"], responses=_COUNTED)
def count() -> Response:
    """Count jobs.

    By state and queue the number is exact. With other filters the newest 10,000 jobs are looked at;
    `is_complete` says whether these were all.
    """
    found = parts().store.count(from_query(JobFilter).wanted())
    return reply({"count": found.count, "is_complete": found.is_complete})
