"""What loggers say while a command runs."""

import logging

import pytest

from taskyard.cli.warnings import each_once


def end(error):
    """Have several loggers warn of things, and end like this."""
    with each_once():
        for _ in range(6):
            logging.getLogger("taskyard.explain").warning("nobody %s", "answers")
            logging.getLogger("taskyard.rabbitmq.connection").warning("no amqp connection")
            logging.getLogger("pika.adapters").error("a line of the library")
        if error is not None:
            raise error


def test_each_warning_is_said_once_and_libraries_are_not_heard(capsys):
    """On standard error, after what the command prints; of connections each command says what it has to."""
    handlers = list(logging.getLogger().handlers)

    end(None)

    assert capsys.readouterr() == ("", "nobody answers\n")
    assert logging.getLogger().handlers == handlers


def test_warnings_are_said_however_a_command_ends(capsys):
    """They may be why."""
    with pytest.raises(SystemExit):
        end(SystemExit(1))

    assert capsys.readouterr().err == "nobody answers\n"
