"""The `taskyard` command: hand over jobs and look after them from a shell."""

from typing import Any

import click

from taskyard import __version__
from taskyard.cli.exits import FAILED, NOT_FOUND, UNAVAILABLE, USAGE, fail
from taskyard.cli.lazy import Later, LazyGroup
from taskyard.cli.warnings import each_once
from taskyard.errors import (
    DeadLetterNotFound,
    InvalidSubmission,
    JobNotFound,
    ReplayNotFound,
    ScheduleNotFound,
    StoreUnavailable,
    TaskyardError,
    Unavailable,
)

#: All commands. They are imported when they are called: most need neither RabbitMQ nor what checks arguments.
SECTIONS = {
    "Jobs": {
        "submit": Later("submit:submit", "Hand over a job of TASK with ARGS."),
        "status": Later("jobs:status", "Show a job."),
        "explain": Later(
            "explain:explain", "Say why a job is not running, or where its time went."
        ),
        "jobs": Later("jobs:jobs", "List jobs, newest first."),
        "change": Later("waiting:change", "Change the job JOB_ID while it waits."),
        "run-now": Later("waiting:run_now", "Make jobs that wait due at once."),
        "cancel": Later("cancel:cancel", "Cancel JOB_IDS, or all that fit the options."),
        "retry": Later(
            "retry:retry", "Run failed, cancelled and expired jobs again: JOB_IDS, or all that fit."
        ),
        "remove": Later("cancel:remove", "Remove the records of JOB_IDS."),
        "dead-letters": Later("dead_letters:dead_letters", "Look after dead letters."),
        "schedules": Later("schedules:schedules", "Look after schedules."),
    },
    "Tasks, queues and workers": {
        "tasks": Later(
            "inventory:tasks", "List the tasks that workers know, with their limits and pauses."
        ),
        "queues": Later("inventory:queues", "List queues with their jobs by state."),
        "workers": Later("inventory:workers", "List worker processes."),
        "pause": Later(
            "controls:pause", "Let no job of a task or queue start until it is resumed."
        ),
        "resume": Later("controls:resume", "Let jobs of a task or queue start again."),
        "limit": Later("controls:limit", "Set the limits of a task."),
    },
    "Operation": {
        "audit": Later("audit:audit", "Account for every job."),
        "log": Later("log:log", "List what operators did, the newest first."),
        "keys": Later("keys:keys", "Make, list and revoke keys of the API."),
    },
}

_WHERE = "{} has its address; beside `make run`, `source ./.run/env` sets it."


class _Group(LazyGroup):
    """Shows taskyard's errors as text, and tells their kind by the exit code."""

    def invoke(self, context: click.Context) -> Any:
        try:
            with each_once():
                return super().invoke(context)
        except (JobNotFound, ScheduleNotFound, DeadLetterNotFound, ReplayNotFound) as error:
            fail(str(error), NOT_FOUND)
        except InvalidSubmission as error:
            fail([str(fault) for fault in error.faults], USAGE)
        except StoreUnavailable as error:
            fail([str(error), _WHERE.format("RESULT_BACKEND")], UNAVAILABLE)
        except Unavailable as error:
            fail([str(error), _WHERE.format("BROKER_URL")], UNAVAILABLE)
        except TaskyardError as error:
            fail(str(error), FAILED)


@click.group(cls=_Group, sections=SECTIONS)
@click.version_option(__version__)
def main() -> None:
    """Hand over jobs and look after them, at the servers of BROKER_URL and RESULT_BACKEND."""
