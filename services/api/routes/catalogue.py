"""The routes that show what there is: tasks, queues and workers."""

from apiflask import APIBlueprint
from flask import Response

from services.api.auth.principal import current
from services.api.context import context
from services.api.http.replies import reply
from services.api.openapi import describe
from taskyard.inventory import queue_documents, task_documents, worker_documents

blueprint = APIBlueprint("catalogue", __name__)


@blueprint.get("/v1/tasks")
@blueprint.doc(
    tags=["Catalogue"], responses=describe.answers({200: describe.answer("The tasks.", "TaskList")})
)
def tasks() -> Response:
    """List the tasks that workers know, with their arguments and defaults."""
    bound = current().tasks
    found = task_documents(context().store)
    return reply({"items": [each for each in found if not bound or each["name"] in bound]})


@blueprint.get("/v1/queues")
@blueprint.doc(
    tags=["Catalogue"],
    responses=describe.answers({200: describe.answer("The queues.", "QueueList")}),
)
def queues() -> Response:
    """List the queues, with the number of jobs in each state."""
    bound = current().queues
    found = queue_documents(context().store)
    return reply({"items": [each for each in found if not bound or each["queue"] in bound]})


@blueprint.get("/v1/workers")
@blueprint.doc(
    tags=["Catalogue"],
    responses=describe.answers({200: describe.answer("The workers.", "WorkerList")}),
)
def workers() -> Response:
    """List the worker processes, with the number of jobs that each runs now."""
    return reply({"items": worker_documents(context().store)})
