"""The routes that show what there is: tasks, queues and workers."""

from typing import Any

from apiflask import APIBlueprint
from flask import Response

from services.api import openapi
from services.api.parts import parts
from services.api.principal import current
from services.api.replies import reply
from taskyard import limits
from taskyard.job import State, rfc3339
from taskyard.store.base import QueueCounts
from taskyard.store.controls import Limits

blueprint = APIBlueprint("catalogue", __name__)


@blueprint.get("/v1/tasks")
@blueprint.doc(
    tags=["Catalogue"], responses=openapi.answers({200: openapi.answer("The tasks.", "TaskList")})
)
def tasks() -> Response:
    """List the tasks that workers know, with their arguments and defaults."""
    store = parts().store
    pauses, set_limits = store.pauses("task"), store.limits()
    bound = current().tasks
    return reply(
        {
            "items": [
                {
                    **task,
                    **limits.describe(set_limits.get(task["name"], Limits())),
                    "paused": pauses.get(task["name"]),
                }
                for task in store.tasks()
                if not bound or task["name"] in bound
            ]
        }
    )


@blueprint.get("/v1/queues")
@blueprint.doc(
    tags=["Catalogue"], responses=openapi.answers({200: openapi.answer("The queues.", "QueueList")})
)
def queues() -> Response:
    """List the queues, with the number of jobs in each state."""
    store = parts().store
    empty = {
        name: QueueCounts(queue=name, states={}, oldest_pending_s=None) for name in store.queues()
    }
    found = empty | {counts.queue: counts for counts in store.counts()}
    pauses = store.pauses("queue")
    bound = current().queues
    names = sorted(name for name in found if not bound or name in bound)
    return reply({"items": [_queue(found[name], pauses.get(name)) for name in names]})


@blueprint.get("/v1/workers")
@blueprint.doc(
    tags=["Catalogue"],
    responses=openapi.answers({200: openapi.answer("The workers.", "WorkerList")}),
)
def workers() -> Response:
    """List the worker processes, with the number of jobs that each runs now."""
    return reply({"items": [_worker(info) for info in parts().store.workers()]})


def _queue(counts: QueueCounts, paused: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "queue": counts.queue,
        "states": {state.value: counts.states.get(state, 0) for state in State},
        "paused": paused,
        "oldest_pending_s": counts.oldest_pending_s,
    }


def _worker(info: dict[str, Any]) -> dict[str, Any]:
    """Return a worker's document; its times are kept in milliseconds since 1970."""
    return {
        name: rfc3339(value) if name.endswith("_at") and isinstance(value, int) else value
        for name, value in info.items()
    }
