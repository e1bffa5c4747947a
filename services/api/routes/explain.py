"""The route that says why a job is not running, or where its time went."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from apiflask import APIBlueprint
from flask import Response

from services.api.auth import bindings
from services.api.auth.principal import current
from services.api.context import context
from services.api.http.replies import reply
from services.api.openapi import describe
from services.api.openapi.shapes import BOOLEAN, SECONDS, STATE, TEXT, TIME, record, ref
from taskyard.explain import explain as explain_job
from taskyard.explain.findings import CODES
from taskyard.explain.timeline import PHASES
from taskyard.store.explaining import Holder

blueprint = APIBlueprint("explain", __name__)


def _list(of: str, **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": ref(of), **more}


_BLOCKING = {**BOOLEAN, "description": "It keeps the job from starting now."}
_NEEDS_ACTION = {**BOOLEAN, "description": "It does not pass by itself."}
_LINKS = {"type": "object", "additionalProperties": TEXT}

SCHEMAS = {
    "Explanation": record(
        id=TEXT,
        task=TEXT,
        queue=TEXT,
        state=STATE,
        blocking={**BOOLEAN, "description": "Something keeps it from starting now."},
        needs_action={**BOOLEAN, "description": "Something of it does not pass by itself."},
        summary={**TEXT, "description": "That of the first finding."},
        findings=_list("Finding", minItems=1, description="The most decisive first."),
        times=record(
            total_s={**SECONDS, "description": "From its submission to its end, or to now."},
            **{f"{phase}_s": SECONDS for phase in PHASES},
        ),
        timeline=_list("Stretch", description="Its life, without gaps; at most the latest 200."),
        explained_at=TIME,
        links=_LINKS,
    ),
    "Finding": record(
        code={"type": "string", "enum": list(CODES)},
        summary={**TEXT, "description": "One sentence, for people."},
        blocking=_BLOCKING,
        needs_action=_NEEDS_ACTION,
        facts={"type": "object", "description": "What it goes by; which, depends on the code."},
        links=_LINKS,
    ),
    "Stretch": record(
        phase={"type": "string", "enum": list(PHASES)},
        attempt={"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]},
        **{"from": TIME},
        to={"anyOf": [TIME, {"type": "null"}], "description": "Null: it goes on."},
        duration_s=SECONDS,
        meaning=TEXT,
    ),
}


@blueprint.get("/v1/jobs/<job_id>/explain")
@blueprint.doc(
    tags=["Jobs"],
    responses=describe.answers(
        {200: describe.answer("The explanation.", "Explanation")}, HTTPStatus.NOT_FOUND
    ),
)
def explain(job_id: str) -> Response:
    """Explain why a job is not running, or where its time went.

    Findings have a code, a sentence, and the facts that it goes by; the most decisive comes first.
    The times sum to the whole life of the job. Nothing is changed, and the work is bounded.
    """
    found = explain_job(
        context().store,
        context().settings,
        job_id,
        ask_broker=context().broker_looks.state,
        nameable=_authorized,
    )
    return reply(found)


def _authorized(holders: Sequence[Holder]) -> list[Holder]:
    """Return those of the jobs that the caller's key may access."""
    if not holders or not current().is_bound:
        return list(holders)
    jobs = context().read([each.id for each in holders])
    return [
        each
        for each, job in zip(holders, jobs, strict=True)
        if job is not None and bindings.is_job_authorized(job)
    ]
