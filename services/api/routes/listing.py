"""The routes that find jobs: list them, count them."""

from apiflask import APIBlueprint
from flask import Response

from services.api.context import parts
from services.api.http import paging
from services.api.http.filters import JobFilter, ListQuery, from_query, parameters
from services.api.http.replies import reply
from services.api.openapi import document
from services.api.openapi.schemas import WHOLE
from services.api.openapi.shapes import record

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
    ("get", "/v1/jobs"): document.Input(parameters=parameters(ListQuery)),
    ("get", "/v1/jobs/count"): document.Input(parameters=parameters(JobFilter)),
}
_LISTED = document.answers({200: document.answer("A page.", "JobPage", "Link")})
_COUNTED = document.answers({200: document.answer("The number.", "JobCount")})


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
