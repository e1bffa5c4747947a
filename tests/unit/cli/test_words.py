"""What is refused is told in the words of the command line."""

import json

import click
import pytest
from click.testing import CliRunner

from taskyard.cli import main
from taskyard.cli.job_options import given, job_options
from taskyard.cli.words import FIELDS, in_words, said, unknown
from taskyard.errors import InvalidSubmission
from taskyard.faults import Fault
from taskyard.operations.waiting import ChangeRequest
from taskyard.request import JobRequest
from taskyard.schedules.rule import Schedule


@pytest.mark.parametrize(
    ("pointer", "code", "detail", "text"),
    [
        ("/priority", "less_than_equal", "must be 9 or less", "--priority: must be 9 or less"),
        ("/args/0", "type", "is no number", "argument 1: is no number"),
        ("/args/1/lines/0", "type", "is no number", "argument 2, in lines.0: is no number"),
        ("/kwargs/copies", "type", "is no number", "-k copies: is no number"),
        ("/kwargs/a~1b~0c/x", "type", "no", "-k a/b~c, in x: no"),
        ("/kwargs/queue", "missing", "'queue' is required", "-k queue: 'queue' is required"),
        ("/tags/0", "too_long", "too long", "--tag: too long"),
        (
            "/run_at",
            "conflict",
            "give delay_s or run_at, not both",
            "--run-at: give --delay or --run-at, not both",
        ),
        (
            "/task",
            "unknown_task",
            "no task 'x'; see GET /v1/tasks",
            "TASK: no task 'x'; `taskyard tasks` lists them",
        ),
        ("/ids/3", "not_found", "no dead letter 'x'", "no dead letter 'x'"),
        ("", "too_large", "the job takes 9 bytes", "the job takes 9 bytes"),
    ],
)
def test_faults_name_options_and_not_fields(pointer, code, detail, text):
    """Arguments are counted from one, and what is inside of them is said."""
    assert said(Fault(pointer, code, detail)) == text


def test_every_field_that_can_be_given_has_a_word():
    """None is told by a name that only REST has."""
    fields = {*JobRequest.model_fields, *ChangeRequest.model_fields, *Schedule.model_fields}

    assert fields - set(FIELDS) == set()


@pytest.mark.parametrize(("codes", "status"), [(["not_found"], 3), (["not_found", "type"], 2)])
def test_what_is_refused_ends_the_command(codes, status, capsys):
    """On standard error; what is merely not there has its exit code, and the store that was asked."""
    with pytest.raises(SystemExit) as ended, in_words():
        raise InvalidSubmission([Fault("/ids/0", code, f"is {code}") for code in codes])

    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (status, "")
    *lines, asked = told.err.splitlines()
    assert lines == [f"is {code}" for code in codes]
    assert asked.startswith("asked at redis")


def test_names_that_are_not_there_are_told_with_those_that_may_be_meant():
    """Or with all that there are."""
    assert unknown("queue", "mial", ["mail", "pdf"]) == "no queue 'mial'; did you mean 'mail'?"
    assert unknown("queue", "x", ["mail", "pdf"]) == "no queue 'x'; there are: mail, pdf"
    assert unknown("task", "x", []) == "no task 'x'; there are: none"


@click.command()
@click.argument("args", nargs=-1)
@job_options
def _command(args, **fields):
    click.echo(json.dumps(given(args, fields), sort_keys=True))


def asked(*args):
    """Return what a command with the options of a job prints for these, or its error."""
    done = CliRunner().invoke(_command, args)
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


def test_the_options_of_a_job_are_the_fields_of_a_submission():
    """Only those that are given; values are JSON or else texts."""
    assert asked() == "{}"
    assert asked(
        "1", "x", "-k", "a=[1]", "-k", "b==", "--tag", "t", "--expires", "1m"
    ) == json.dumps(
        {"args": [1, "x"], "expires_s": 60.0, "kwargs": {"a": [1], "b": "="}, "tags": ["t"]}
    )


@pytest.mark.parametrize("wrong", ["copies", "=3", ""])
def test_a_named_argument_has_a_name_and_a_value(wrong):
    """What is neither is no empty text."""
    told = (
        f"Error: Invalid value for '--kwarg' / '-k': {wrong!r} must be NAME=VALUE, such as copies=2"
    )
    assert asked("-k", wrong) == told


def test_a_named_argument_is_given_once():
    """The last one does not win silently."""
    assert asked("-k", "a=1", "-k", "a=2").endswith("'a' is given twice")


def test_a_negative_number_is_told_where_it_has_to_stand():
    """It looks like an option."""
    result = CliRunner().invoke(main, ["submit", "add", "-1", "2"])

    assert result.exit_code == 2
    assert "No such option '-1'" in result.output
    assert "-- -1 2" in result.output
