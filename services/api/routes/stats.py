"""The route that sums the whole system up."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from apiflask import APIBlueprint
from flask import Response

from services.api.context import context
from services.api.http.replies import reply
from services.api.openapi import describe
from services.api.openapi.shapes import TEXT, WHOLE
from taskyard import __version__
from taskyard.job import State

blueprint = APIBlueprint("stats", __name__)

#: Over what time submissions are counted, in seconds.
PERIOD_S = 60
_STATES = {"type": "object", "additionalProperties": WHOLE}

SCHEMAS: dict[str, Any] = {
    "Stats": {
        "type": "object",
        "properties": {
            "version": TEXT,
            "states": {**_STATES, "description": "How many jobs there are in each state."},
            "queues": {
                "type": "object",
                "additionalProperties": _STATES,
                "description": "The same for each queue.",
            },
            "submitted_per_s": {
                "type": "number",
                "minimum": 0,
                "description": "Jobs submitted a second, over the last minute.",
            },
            "workers": {
                "type": "object",
                "properties": {
                    "alive": WHOLE,
                    "lost": WHOLE,
                    "slots": {**WHOLE, "description": "Jobs that they can run at a time."},
                    "busy": {**WHOLE, "description": "Jobs that they run now."},
                    "jobs_done": {**WHOLE, "description": "Since each of them started."},
                },
                "required": ["alive", "lost", "slots", "busy", "jobs_done"],
            },
        },
        "required": ["version", "states", "queues", "submitted_per_s", "workers"],
    }
}


@blueprint.get("/v1/stats")
@blueprint.doc(
    tags=["Catalogue"],
    responses=describe.answers({200: describe.answer("The sums.", "Stats")}),
)
def stats() -> Response:
    """Sum up jobs, queues and workers."""
    store = context().store
    counts = store.counts()
    return reply(
        {
            "version": __version__,
            "states": _sums([each.states for each in counts]),
            "queues": {each.queue: _sums([each.states]) for each in counts},
            "submitted_per_s": round(store.submitted_within(PERIOD_S) / PERIOD_S, 3),
            "workers": _workers(store.workers()),
        }
    )


def _sums(counts: Sequence[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return {state.value: total[state.value] for state in State}


def _workers(workers: Sequence[dict[str, Any]]) -> dict[str, int]:
    alive = [worker for worker in workers if worker["is_alive"]]
    return {
        "alive": len(alive),
        "lost": len(workers) - len(alive),
        "slots": sum(worker.get("slots", 0) for worker in alive),
        "busy": sum(worker["running"] for worker in alive),
        "jobs_done": sum(worker.get("jobs_done", 0) for worker in alive),
    }
