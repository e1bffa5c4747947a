"""Which jobs a command is about: those of some ids, or all that fit a filter; the same for all commands."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
from msgspec import structs

from taskyard.cli.confirm import YES, confirm, count_of
from taskyard.cli.exits import FAILED, NOT_FOUND, with_asked
from taskyard.cli.output import OUTPUT, Output, say, say_answers, say_one, verdict_line
from taskyard.cli.times import PAST
from taskyard.cli.words import unknown
from taskyard.errors import JobNotFound, NotUnique, TooEarly, TooLate
from taskyard.job import State
from taskyard.operations.controls import names
from taskyard.store import JobStore
from taskyard.store.controls import Kind
from taskyard.store.finding import Count, Filter

Command = Callable[..., None]
#: Counts those of the jobs that fit which something can be done to.
Counting = Callable[[JobStore, Filter], Count]


class _Given(click.ParamType[str]):
    """A text that says something: an empty one, such as of a variable that is not set, would mean all."""

    name = "text"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Return the text."""
        if not value.strip():
            self.fail("it is empty: leave the option out if any will do", param, ctx)
        return str(value)


GIVEN = _Given()


def job_filter(states: Sequence[State]) -> Callable[[Command], Command]:
    """Return a decorator that gives a command the options of a filter; `states` may be asked for.

    What is given for them comes in as `fields`, for `wanted`.
    """
    options = (
        click.option(
            "--state",
            "states",
            multiple=True,
            type=click.Choice([state.value for state in states]),
            help="In this state; repeat.",
        ),
        click.option("--queue", type=GIVEN, help="In this queue."),
        click.option("--task", type=GIVEN, help="Of this task."),
        click.option("--tag", type=GIVEN, help="With this tag."),
        click.option("--origin", type=GIVEN, help="That came through this door, such as api."),
        click.option(
            "--error",
            type=GIVEN,
            default=None,
            help="A part of the latest error's type or message.",
        ),
        click.option(
            "--after",
            "created_after_ms",
            type=PAST,
            help="Submitted at this time or later: a time (UTC), a date, or like 2h (ago).",
        ),
        click.option(
            "--before", "created_before_ms", type=PAST, help="Submitted before this time."
        ),
    )

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def by_ids_or_filter(states: Sequence[State]) -> Callable[[Command], Command]:
    """Return a decorator for a command on JOB_IDS, or on all jobs that fit the options of `job_filter`.

    It comes with `--dry-run`, `--yes` and `--output`.
    """

    def add(command: Command) -> Command:
        command = click.option("--dry-run", is_flag=True, help="Only count them.")(
            YES(OUTPUT(command))
        )
        return click.argument("job_ids", nargs=-1)(job_filter(states)(command))

    return add


def wanted(fields: dict[str, Any]) -> Filter:
    """Return the filter that the options of `job_filter` say."""
    given = {name: value for name, value in fields.items() if value is not None}
    return Filter(**{**given, "states": tuple(fields["states"])})


def chosen(job_ids: Sequence[str], fields: dict[str, Any], *, dry_run: bool) -> Filter:
    """Return the filter of a command that takes ids or one; one that would mean all jobs is refused."""
    found = wanted(fields)
    if bool(job_ids) == (found != Filter()):
        raise click.UsageError("give ids, or options that say which jobs")
    if job_ids and dry_run:
        raise click.UsageError("--dry-run counts what fits options; it does not go with ids")
    return found


def none_fits(store: JobStore, chosen: Filter) -> str:
    """Return what to say where no job fits: which names of the filter nobody knows."""
    kinds: tuple[tuple[Kind, str], ...] = (("queue", chosen.queue), ("task", chosen.task))
    wrong = [
        unknown(kind, name, there)
        for kind, name in kinds
        if name and name not in (there := names(store, kind))
    ]
    return f"No job fits{': ' * bool(wrong)}{'; '.join(wrong) or '.'}"


def say_count(found: Count, *, output: Output) -> None:
    """Print how many jobs fit; for programs as `GET /v1/jobs/count` gives it."""
    say_one(
        {"count": found.count, "is_complete": found.is_complete},
        lambda _: [count_of(found.count, "job", is_complete=found.is_complete)],
        output=output,
    )


def say_dry_run(
    store: JobStore,
    wanted: Filter,
    found: Count,
    numbers: dict[str, int],
    done: str,
    *,
    output: Output,
) -> None:
    """Print how many jobs something would be done to; for programs as REST answers a `dry_run`.

    Args:
        store: Where they are.
        wanted: Which are meant.
        found: How many there are.
        numbers: What an answer counts, all of it nothing.
        done: What would be done, such as `cancelled`.
        output: Whether it is for people or for programs.
    """
    counted = count_of(found.count, "job", is_complete=found.is_complete)
    if found.is_complete and not found.count:
        say(none_fits(store, wanted), err=True)
    say_one(
        {"dry_run": True, "matching": found.count, **numbers, "is_complete": found.is_complete},
        lambda _: [f"{counted} would be {done}"],
        output=output,
    )


def confirmed(
    store: JobStore, wanted: Filter, count: Counting, done: str, *, is_sure: bool
) -> Filter:
    """Say to how many jobs something will be done, and ask; end the command unless the user agrees.

    Args:
        store: Where they are.
        wanted: Which are meant.
        count: How many of them there are.
        done: What would be done, such as `cancelled`.
        is_sure: Whether `--yes` was given.

    Returns:
        Which are meant now: not those that are submitted while it asks.
    """
    now_ms = store.now_ms()
    found = count(store, wanted)
    if found.is_complete and not found.count:
        say(none_fits(store, wanted), err=True)
    else:
        counted = count_of(found.count, "job", is_complete=found.is_complete)
        confirm(f"{counted} will be {done}", is_sure=is_sure)
    before_ms = min(
        now_ms, now_ms if wanted.created_before_ms is None else wanted.created_before_ms
    )
    return wanted if is_sure else structs.replace(wanted, created_before_ms=before_ms)


def each(
    job_ids: Sequence[str],
    act: Callable[[str], tuple[str, str]],
    *,
    output: Output,
    line: Callable[[Mapping[str, Any]], str] = verdict_line,
    **blank: Any,
) -> None:
    """Do something to each job, and print what became of it, or why it was not done.

    The exit code tells whether something was not done, and whether that was because there was no such job.

    Args:
        job_ids: Which ones.
        act: Does it, and returns what became of the job, and its state where that says more.
        output: Whether it is for people or for programs.
        line: Returns the line of an answer.
        blank: More fields that an answer has, as they are where nothing is said of them; `holder`: the job
            that has its lock.
    """
    wrong: set[int] = set()
    answers = []
    for job_id in dict.fromkeys(job_ids):
        verdict, state, more = "unknown", "", {}
        try:
            verdict, state = act(job_id)
        except JobNotFound as error:
            wrong.add(NOT_FOUND)
            say(str(error), err=True)
        except (TooLate, TooEarly) as error:
            wrong.add(FAILED)
            verdict, state = error.code, error.state
        except NotUnique as error:
            wrong.add(FAILED)
            verdict, more = error.code, {"holder": error.holder}
        answers.append({"id": job_id, "verdict": verdict, "state": state or None, **blank, **more})
    say_answers(answers, line, output=output)
    if NOT_FOUND in wrong:
        for text in with_asked():
            say(text, err=True)
    if wrong:
        sys.exit(min(wrong))
