"""The options that say what a job is to be: those of `submit`, and of what schedules run."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import click

from taskyard.cli.times import DURATION

Command = Callable[..., None]


def _named(_context: Any, _parameter: Any, texts: Sequence[str]) -> dict[str, Any]:
    """Return keyword arguments by their names."""
    found: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not name or not sign:
            raise click.BadParameter(f"{text!r} must be NAME=VALUE, such as copies=2")
        if name in found:
            raise click.BadParameter(f"{name!r} is given twice")
        found[name] = json_or_text(value)
    return found


def json_or_text(text: str) -> Any:
    """Return the value of a text that is JSON, or else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


KWARGS = click.option(
    "--kwarg",
    "-k",
    "kwargs",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_named,
    help="Argument by its name; VALUE is JSON or else a text.",
)
#: Options by the fields of a submission that they stand for.
_OPTIONS = (
    KWARGS,
    click.option("--queue", help="Queue. Default: the task's own."),
    click.option("--priority", type=int, help="0 to 9, higher first."),
    click.option("--max-retries", type=int, help="Retries if it fails."),
    click.option(
        "--timeout", "timeout_s", type=DURATION, help="Time limit of each attempt, such as 30s."
    ),
    click.option(
        "--expires",
        "expires_s",
        type=DURATION,
        help="Never start it later than so long after its submission, such as 1h.",
    ),
    click.option("--tag", "tags", multiple=True, help="Word to find the job by; repeat."),
)


def job_options(command: Command) -> Command:
    """Give a command the options of a job; what is given comes in by the names of REST's fields."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def given(args: Sequence[str], fields: dict[str, Any]) -> dict[str, Any]:
    """Return those fields that were given, as REST has them; `args` as JSON or texts."""
    listed = {
        name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()
    }
    chosen = {"args": [json_or_text(arg) for arg in args], **listed}
    return {name: value for name, value in chosen.items() if value not in (None, [], {})}
