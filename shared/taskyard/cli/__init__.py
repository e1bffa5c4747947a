"""The `taskyard` command: hand over jobs and look after them from a shell."""

import errno
from typing import Any

import click

from taskyard import __version__
from taskyard.cli.command_table import SECTIONS
from taskyard.cli.exits import (
    FAILED,
    INTERRUPTED,
    NOT_FOUND,
    UNAVAILABLE,
    USAGE,
    fail,
    with_asked,
    with_remedy,
)
from taskyard.cli.lazy import LazyGroup
from taskyard.cli.output import prepare_streams
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


class _Group(LazyGroup):
    """Shows taskyard's errors as text, and tells their kind by the exit code."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return self._invoke(context)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # the reader of the pipe, such as `head`, has closed it: click ends silently
            fail(f"this cannot be written or read: {error}", FAILED)
        except KeyboardInterrupt:
            fail("interrupted", INTERRUPTED)

    def _invoke(self, context: click.Context) -> Any:
        try:
            with each_once():
                return super().invoke(context)
        except click.NoSuchOption as error:
            if not error.option_name[1:2].isdigit():
                raise
            text = f"{error.message} A negative number stands behind all options and `--`: -- -1 2"
            raise click.NoSuchOption(error.option_name, text, ctx=error.ctx) from None
        except (JobNotFound, ScheduleNotFound, DeadLetterNotFound, ReplayNotFound) as error:
            fail(with_asked(str(error)), NOT_FOUND)
        except InvalidSubmission as error:
            fail([str(fault) for fault in error.faults], USAGE)
        except StoreUnavailable as error:
            fail(with_remedy(str(error), "result_backend"), UNAVAILABLE)
        except Unavailable as error:
            fail(with_remedy(str(error), "broker_url"), UNAVAILABLE)
        except TaskyardError as error:
            fail(str(error), FAILED)


@click.group(cls=_Group, sections=SECTIONS)
@click.version_option(__version__)
def main() -> None:
    """Hand over jobs and look after them, at the servers of BROKER_URL and RESULT_BACKEND."""
    prepare_streams()
