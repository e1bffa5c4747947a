"""The routes that find jobs: list them, count them."""

from typing import Annotated

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field

from services.api.context import context
from services.api.http.filters import JobFilter
from services.api.http.paging import PagedList, PageQuery
from services.api.http.queries import QueryInteger, from_query, parameters
from services.api.http.replies import reply
from services.api.openapi import describe
from services.api.openapi.shapes import BOOLEAN, WHOLE, page_of, record
from taskyard.store.finding import Order

blueprint = APIBlueprint("listing", __name__)


class ListQuery(JobFilter, PageQuery):
    """A page of the jobs that fit."""

    order: Order = Field(
        default="created",
        description="`created`: newest first. `run_at`: those that wait for a time, soonest first.",
    )
    limit: Annotated[int, Field(ge=1, le=200), QueryInteger] = Field(
        default=50, description="How many at most.", examples=[20]
    )


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
    jobs = PagedList(f"jobs by {query.order}")
    found = context().store.find(
        query.store_filter(), cursor=jobs.start(), limit=query.limit, order=query.order
    )
    return jobs.page([context().catalogue.document(job) for job in found.jobs], found.cursor)


@blueprint.get("/v1/jobs/count")
@blueprint.doc(tags=["Jobs"], responses=_COUNTED)
def count() -> Response:
    """Count jobs.

    By state and queue the number is exact. With other filters the newest 10,000 jobs are looked at;
    `is_complete` says whether these were all.
    """
    found = context().store.count(from_query(JobFilter).store_filter())
    return reply({"count": found.count, "is_complete": found.is_complete})
