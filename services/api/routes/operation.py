"""The routes for those who run the API: where to go, health and metrics."""

from http import HTTPStatus

from apiflask import APIBlueprint
from flask import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from services.api.context import context
from services.api.http.replies import reply
from services.api.openapi import describe
from services.api.openapi.shapes import TEXT
from taskyard import __version__

blueprint = APIBlueprint("operation", __name__)
_LINKS = {
    "submit": "/v1/jobs",
    "schedules": "/v1/schedules",
    "dead_letters": "/v1/dead-letters",
    "jobs": "/v1/jobs",
    "tasks": "/v1/tasks",
    "queues": "/v1/queues",
    "workers": "/v1/workers",
    "batch": "/v1/jobs/batch",
    "audit_log": "/v1/audit-log",
    "events": "/v1/events",
    "stats": "/v1/stats",
    "health": "/healthz",
    "readiness": "/readyz",
    "metrics": "/metrics",
    "docs": "/docs",
    "openapi": "/openapi.json",
    "asyncapi": "/asyncapi.json",
}


@blueprint.get("/")
@blueprint.doc(
    tags=["Operation"], responses=describe.answers({200: describe.answer("The links.", "Index")})
)
def index() -> Response:
    """Return links to what there is.

    They are paths of this server.
    """
    return reply({"name": "taskyard", "version": __version__, "links": _LINKS})


@blueprint.get("/healthz")
@blueprint.doc(
    tags=["Operation"], responses=describe.answers({200: describe.answer("It works.", "Health")})
)
def health() -> Response:
    """Say that the process works, without a look at store or RabbitMQ.

    For the probe that restarts what does not answer: a store that is away is no reason to.
    """
    return reply({"ok": True, "problems": []})


@blueprint.get("/readyz")
@blueprint.doc(
    tags=["Operation"],
    responses=describe.answers(
        {
            200: describe.answer("It serves.", "Health"),
            503: describe.answer(
                "Something that it needs is away; `problems` says what.", "Health"
            ),
        }
    ),
)
def readiness() -> Response:
    """Say whether jobs can be submitted and read: store and RabbitMQ answer.

    For the probe that decides whether requests are sent here.
    """
    problems = context().readiness.problems()
    status = HTTPStatus.SERVICE_UNAVAILABLE if problems else HTTPStatus.OK
    return reply({"ok": not problems, "problems": problems}, status.value)


@blueprint.get("/metrics")
@blueprint.doc(
    tags=["Operation"],
    responses=describe.answers(
        {200: describe.other("The metrics.", "text/plain", TEXT)}, HTTPStatus.FORBIDDEN
    ),
)
def metrics() -> Response:
    """Return this process's metrics for Prometheus.

    Only of this process: those of workers and schedulers are at their own addresses.
    """
    return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)
