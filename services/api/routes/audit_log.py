"""The route of the audit log: what operators did, page by page."""

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field

from services.api.context import context
from services.api.http.filters import Text
from services.api.http.paging import PagedList, PageQuery
from services.api.http.queries import from_query, parameters
from services.api.openapi import describe
from services.api.openapi.derived import schemas_of
from services.api.openapi.shapes import Schema, page_of
from taskyard.operations.audit_log import ActionDocument, document
from taskyard.request import Time
from taskyard.store.audit_log import ActionFilter

blueprint = APIBlueprint("audit_log", __name__)

_ACTIONS = PagedList("audit log")
_ALL_MS = 2**53 - 1


class ActionQuery(PageQuery):
    """A page of the audit log: of the entries that fit all of it."""

    who: Text | None = Field(
        default=None, description="By whom; `key:ci` is all keys that had this name."
    )
    action: Text | None = Field(
        default=None,
        description="What was done, such as `queue.pause`; `queue` is all that was done to queues.",
    )
    target: Text | None = Field(default=None, description="On what: a name or an id.")
    after: Time | None = Field(default=None, description="At this time or later (RFC 3339).")
    before: Time | None = Field(default=None, description="At this time or before (RFC 3339).")


SCHEMAS: dict[str, Schema] = {
    **schemas_of(Action=ActionDocument),
    "ActionPage": page_of("Action"),
}
INPUTS = {("get", "/v1/audit-log"): describe.Input(parameters=parameters(ActionQuery))}


@blueprint.get("/v1/audit-log", endpoint="audit_log")
@blueprint.doc(
    tags=["Operation"],
    responses=describe.answers({200: describe.answer("A page.", "ActionPage", "Link")}),
)
def list_actions() -> Response:
    """List what operators did, the newest first.

    Each request looks at a bounded number of entries: a page may be short or even empty and yet not be
    the last. Go on with `cursor`, or the link `next`, until there is none.
    """
    query: ActionQuery = from_query(ActionQuery)
    found, end = context().store.find_actions(_store_filter(query), query.limit, _ACTIONS.start())
    entries = (((entry.at_ms, entry.action.id), document(entry)) for entry in found)
    return _ACTIONS.bounded_page(entries, end)


def _store_filter(query: ActionQuery) -> ActionFilter:
    return ActionFilter(
        who=query.who or "",
        action=query.action or "",
        target=query.target or "",
        after_ms=0 if query.after is None else max(0, round(query.after.timestamp() * 1000)),
        before_ms=_ALL_MS
        if query.before is None
        else max(0, round(query.before.timestamp() * 1000)),
    )
