"""The routes that find jobs: list them, count them."""

from apiflask import APIBlueprint
from flask import Response

from services.api.context import context
from services.api.http import paging
from services.api.http.filters import JobFilter, ListQuery, from_query, parameters
from services.api.http.replies import reply
from services.api.openapi import describe
from services.api.openapi.shapes import BOOLEAN, WHOLE, page_of, record

blueprint = APIBlueprint("listing", __name__)


SCHEMAS = {
    "JobFilter": JobFilter.model_json_schema(),
    "JobPage": page_of("Job"),
    "JobCount": record(
        count=WHOLE,
        is_complete={**BOOLEAN, "description": "False: there are at least so many."},
    ),
}
INPUTS = {
    ("get", "/v1/jobs"): describe.Input(parameters=parameters(ListQuery)),
    ("get", "/v1/jobs/count"): describe.Input(parameters=parameters(JobFilter)),
}
_LISTED = describe.answers({200: describe.answer("A page.", "JobPage", "Link")})
_COUNTED = describe.answers({200: describe.answer("The number.", "JobCount")})


@blueprint.get("/v1/jobs", endpoint="list")
@blueprint.doc(tags=["Jobs"], responses=_LISTED)
def list_jobs() -> Response:
    """List jobs, a page at a time.

    Each request looks at a bounded number of jobs, and a page ends at about 8 MiB: it may be short or
    even empty and yet not be the last. Go on with `cursor`, or the link `next`, until there is none.
    """
    query = from_query(ListQuery)
    of = f"jobs by {query.order}"
    page = context().store.find(
        query.store_filter(), cursor=paging.cursor(of), limit=query.limit, order=query.order
    )
    following = paging.sealed(page.cursor, of)
    items = [context().catalogue.document(job) for job in page.jobs]
    return reply({"items": items, "cursor": following}, headers=paging.link(following))


@blueprint.get("/v1/jobs/count")
@blueprint.doc(tags=["Jobs"], responses=_COUNTED)
def count() -> Response:
    """Count jobs.

    By state and queue the number is exact. With other filters the newest 10,000 jobs are looked at;
    `is_complete` says whether these were all.
    """
    found = context().store.count(from_query(JobFilter).store_filter())
    return reply({"count": found.count, "is_complete": found.is_complete})
