"""The `taskyard` command: hand over jobs and look after them from a shell."""

from typing import Any

import click

from taskyard import __version__
from taskyard.cli.audit import audit
from taskyard.cli.cancel import cancel, remove
from taskyard.cli.controls import limit, pause, resume, tasks, workers
from taskyard.cli.dead_letters import dead_letters
from taskyard.cli.exits import FAILED, NOT_FOUND, UNAVAILABLE, USAGE, fail
from taskyard.cli.explain import explain
from taskyard.cli.jobs import jobs, status, submit
from taskyard.cli.keys import keys
from taskyard.cli.log import log
from taskyard.cli.queues import queues
from taskyard.cli.retry import retry
from taskyard.cli.schedules import schedules
from taskyard.cli.waiting import change, run_now
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

COMMANDS: tuple[click.Command, ...] = (
    *(submit, status, cancel, jobs, change, run_now, retry, remove, explain),
    *(tasks, queues, workers, pause, resume, limit),
    *(schedules, dead_letters, audit, log, keys),
)

_WHERE = "{} has its address; beside `make run`, `source ./.run/env` sets it."


class _Group(click.Group):
    """Shows taskyard's errors as text, and tells their kind by the exit code."""

    def invoke(self, context: click.Context) -> Any:
        try:
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


@click.group(cls=_Group)
@click.version_option(__version__)
def main() -> None:
    """Hand over jobs and look after them, at the servers of BROKER_URL and RESULT_BACKEND."""


for command in COMMANDS:
    main.add_command(command)
