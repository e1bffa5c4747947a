"""What each route asks of a key: the one table of who may do what.

A route that is in no table asks for an admin key, so that a forgotten one is closed.
"""

import re
from collections.abc import Mapping

import msgspec
from flask import Request

from services.api.auth import path_guards
from services.api.auth.path_guards import Guard
from taskyard.config import Settings
from taskyard.keys import Scope

_PARAMETER = re.compile(r"\{(\w+)\}")


class Rule(msgspec.Struct, frozen=True):
    """What a route asks for."""

    #: All of these.
    scopes: tuple[Scope, ...]
    #: How a bound key is kept to its tasks and queues.
    guard: Guard


READ: Scope = "jobs:read"
SUBMIT: Scope = "jobs:submit"
OPERATE: Scope = "jobs:operate"
METRICS: Scope = "metrics:read"

#: These ask for nothing: they say no more than the source does, or are for probes.
_OPEN = frozenset({"/", "/healthz", "/readyz", "/docs", "/openapi.json", "/asyncapi.json"})

RULES: Mapping[str, Rule] = {
    # Jobs
    "POST /v1/jobs": Rule((SUBMIT,), path_guards.by_route),
    "POST /add-task": Rule((SUBMIT,), path_guards.by_route),
    "POST /v1/jobs/batch": Rule((SUBMIT,), path_guards.by_route),
    "GET /v1/jobs": Rule((READ,), path_guards.by_route),
    "GET /v1/jobs/count": Rule((READ,), path_guards.by_route),
    "POST /v1/jobs/cancel": Rule((OPERATE,), path_guards.by_route),
    "POST /v1/jobs/retry": Rule((OPERATE,), path_guards.by_route),
    "GET /v1/jobs/<job_id>": Rule((READ,), path_guards.job),
    "GET /task-status/<job_id>": Rule((READ,), path_guards.job),
    "GET /v1/jobs/<job_id>/events": Rule((READ,), path_guards.job),
    "GET /v1/jobs/<job_id>/explain": Rule((READ,), path_guards.job),
    "PATCH /v1/jobs/<job_id>": Rule((OPERATE,), path_guards.job),
    "DELETE /v1/jobs/<job_id>": Rule((OPERATE,), path_guards.job),
    "POST /v1/jobs/<job_id>/cancel": Rule((OPERATE,), path_guards.job),
    "POST /v1/jobs/<job_id>/run-now": Rule((OPERATE,), path_guards.job),
    "POST /v1/jobs/<job_id>/retry": Rule((OPERATE,), path_guards.job),
    "GET /v1/events": Rule((READ,), path_guards.by_route),
    # What there is
    "GET /v1/tasks": Rule((READ,), path_guards.by_route),
    "GET /v1/queues": Rule((READ,), path_guards.queues_of_all_tasks),
    "GET /v1/workers": Rule((READ,), path_guards.unbound_only),
    "GET /v1/stats": Rule((READ,), path_guards.unbound_only),
    "GET /metrics": Rule((METRICS,), path_guards.unbound_only),
    # What was done
    "GET /v1/audit-log": Rule(("admin",), path_guards.unbound_only),
    # Tasks and queues
    "POST /v1/tasks/<name>/pause": Rule((OPERATE,), path_guards.whole_task),
    "POST /v1/tasks/<name>/resume": Rule((OPERATE,), path_guards.whole_task),
    "GET /v1/tasks/<name>/limits": Rule((READ,), path_guards.task),
    "PUT /v1/tasks/<name>/limits": Rule((OPERATE,), path_guards.whole_task),
    "DELETE /v1/tasks/<name>/limits": Rule((OPERATE,), path_guards.whole_task),
    "POST /v1/queues/<name>/pause": Rule((OPERATE,), path_guards.whole_queue),
    "POST /v1/queues/<name>/resume": Rule((OPERATE,), path_guards.whole_queue),
    "POST /v1/queues/<name>/purge": Rule((OPERATE,), path_guards.whole_queue),
    # Schedules: who adds one submits its jobs
    "GET /v1/schedules": Rule((READ,), path_guards.by_route),
    "POST /v1/schedules": Rule((OPERATE, SUBMIT), path_guards.by_route),
    "POST /v1/schedules/preview": Rule((READ,), path_guards.by_route),
    "GET /v1/schedules/<name>": Rule((READ,), path_guards.schedule),
    "PUT /v1/schedules/<name>": Rule((OPERATE, SUBMIT), path_guards.schedule),
    "DELETE /v1/schedules/<name>": Rule((OPERATE,), path_guards.schedule),
    "POST /v1/schedules/<name>/pause": Rule((OPERATE,), path_guards.schedule),
    "POST /v1/schedules/<name>/resume": Rule((OPERATE,), path_guards.schedule),
    "POST /v1/schedules/<name>/trigger": Rule((OPERATE, SUBMIT), path_guards.schedule),
    "GET /v1/schedules/<name>/preview": Rule((READ,), path_guards.schedule),
    "GET /v1/schedules/<name>/history": Rule((READ,), path_guards.schedule),
    # Dead letters
    "GET /v1/dead-letters": Rule((READ,), path_guards.by_route),
    "GET /v1/dead-letters/groups": Rule((READ,), path_guards.tasks_of_all_queues),
    "GET /v1/dead-letters/<letter_id>": Rule((READ,), path_guards.by_route),
    "POST /v1/dead-letters/purge": Rule((OPERATE,), path_guards.by_route),
    "POST /v1/dead-letters/replay": Rule((OPERATE,), path_guards.by_route),
    "GET /v1/dead-letters/replays": Rule((READ,), path_guards.by_route),
    "GET /v1/dead-letters/replays/<replay_id>": Rule((READ,), path_guards.by_route),
    "POST /v1/dead-letters/replays/<replay_id>/stop": Rule((OPERATE,), path_guards.by_route),
    "POST /v1/dead-letters/<letter_id>/resubmit": Rule((OPERATE, SUBMIT), path_guards.by_route),
}
UNDECLARED = Rule(("admin",), path_guards.unbound_only)


def open_paths(settings: Settings) -> frozenset[str]:
    """Return the paths that ask for nothing."""
    return _OPEN | {"/metrics"} if settings.api_metrics_open else _OPEN


def of(request: Request, settings: Settings) -> Rule | None:
    """Return what a request has to have; None: nothing."""
    # Where nothing is found there is nothing to guard, and OPTIONS says only which methods there are.
    if request.url_rule is None or request.method == "OPTIONS":
        return None
    path = request.url_rule.rule
    return None if path in open_paths(settings) else rule(request.method, path)


def of_path(method: str, path: str, settings: Settings) -> Rule | None:
    """Return the same for a route as OpenAPI writes it."""
    plain = _PARAMETER.sub(r"<\1>", path)
    return None if plain in open_paths(settings) else rule(method, plain)


def rule(method: str, path: str) -> Rule:
    """Return the rule of a route that is not open; HEAD is as GET."""
    return RULES.get(f"{'GET' if method == 'HEAD' else method} {path}", UNDECLARED)
