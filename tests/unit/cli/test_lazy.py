"""What the command line imports, and what it says of commands without importing them."""

import shlex
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from taskyard.cli import main
from taskyard.cli.command_table import SECTIONS

LATER = [(name, each) for part in SECTIONS.values() for name, each in part.items()]
#: Prints what a command has imported of those modules that are slow to import.
PROGRAM = """
import sys
from taskyard.cli import main

try:
    main(sys.argv[2:])
except SystemExit:
    pass
print("imported", *sorted(set(sys.argv[1].split()) & set(sys.modules)))
"""
#: What checks arguments, speaks to RabbitMQ, measures or draws: none of it is for who only looks.
SLOW = (
    "pydantic jsonschema_rs prometheus_client pika structlog cronsim apiflask flask dramatiq "
    "taskyard.request taskyard.arguments.signature taskyard.dispatcher taskyard.telemetry.metrics"
)


@pytest.mark.parametrize(("name", "later"), LATER, ids=[name for name, _ in LATER])
def test_a_command_is_where_it_is_said_to_be(name, later):
    """What the list says of it begins as its own help does."""
    command = later.load()

    assert command.name == name
    assert (command.help or "").startswith(later.help.rstrip("."))


@pytest.mark.parametrize(("name", "later"), LATER, ids=[name for name, _ in LATER])
def test_the_help_of_a_command_ends_with_lines_that_it_takes(name, later):
    """Their options and values are those that there are."""
    shown = later.load().get_help(click.Context(later.load()))

    for line in later.examples:
        program, first, *rest = shlex.split(line)
        command: click.Command | None = later.load()
        if isinstance(command, click.Group) and rest:
            command = command.get_command(click.Context(command), rest.pop(0))
        assert command is not None
        command.make_context(line, rest)
        assert (program, first) == ("taskyard", name)
        assert f"  {line}\n" in f"{shown}\n"


def imported(slow, *args):
    """Return which of these modules a command has imported."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, slow, *args],
        env={"RESULT_BACKEND": "redis://127.0.0.1:1/0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.splitlines()[-1].split()[1:]


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["nothing"]])
def test_help_imports_next_to_nothing(args):
    """Not even the store's client."""
    assert imported(f"{SLOW} redis asyncio ssl", *args) == []


@pytest.mark.parametrize(
    "args",
    [
        *(["status", "x"], ["jobs"], ["tasks"], ["queues"], ["workers"], ["log"], ["keys", "list"]),
        *(["cancel", "x"], ["remove", "x", "--yes"], ["pause", "queue", "x"], ["limit", "x"]),
    ],
    ids=" ".join,
)
def test_what_publishes_nothing_imports_only_the_store(args):
    """Here nobody answers; the failure is counted, by a library that this does not import either."""
    slow = SLOW.replace("prometheus_client", "").replace("taskyard.telemetry.metrics", "")

    assert imported(slow, *args) == []


def test_completion_imports_no_command():
    """A shell asks with each press of the key."""
    context = click.Context(main)

    found = [(each.value, each.help) for each in main.shell_complete(context, "st")]

    assert found == [("status", SECTIONS["Jobs"]["status"].help)]


def test_the_help_lists_all_commands_by_what_they_are_about(capsys):
    """In sections, each with what it does."""
    with pytest.raises(SystemExit):
        main(["--help"])

    said = capsys.readouterr().out
    assert [line.rstrip(":") for line in said.splitlines() if line.endswith(":")] == [
        *("Options", *SECTIONS)
    ]
    assert "  run-now       Make jobs that wait due at once.\n" in said


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["statu"], "there is no command 'statu'; did you mean 'status'"),
        (["queues", "pruge"], "there is no command 'pruge'; did you mean 'purge'"),
        (["xyz"], "there is no command 'xyz'"),
    ],
)
def test_a_slip_is_told_with_the_command_that_may_be_meant(argv, text):
    """Though none of them has been imported."""
    shown = CliRunner().invoke(main, argv)

    assert (shown.exit_code, f"Error: {text}" in shown.stderr) == (2, True), shown.stderr
