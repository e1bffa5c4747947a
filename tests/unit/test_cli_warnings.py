"""What loggers say while a command runs."""

import logging

import pytest

from taskyard.cli.warnings import each_once
from taskyard.errors import BrokerUnavailable

LOGGER = logging.getLogger("taskyard.rabbitmq.connection")


def warn(times):
    for _ in range(times):
        LOGGER.warning("no amqp connection: %s", "refused")
        logging.getLogger("pika.adapters").error("a line of the library")
        LOGGER.info("connecting")


def end(times, error):
    """Warn so many times, and end like this."""
    with each_once():
        warn(times)
        raise error


def test_each_warning_is_said_once_and_libraries_are_not_heard(capsys):
    """On standard error, after what the command prints."""
    with each_once():
        warn(6)

    assert capsys.readouterr() == ("", "no amqp connection: refused\n")
    assert not [each for each in logging.getLogger().handlers if "cli" in type(each).__module__]


def test_a_failure_that_says_the_same_is_told_alone(capsys):
    """The error is what the command ends with; other ends have the warnings before them."""
    with pytest.raises(BrokerUnavailable):
        end(6, BrokerUnavailable("RabbitMQ did not confirm"))
    assert capsys.readouterr().err == ""

    with pytest.raises(SystemExit):
        end(1, SystemExit(1))
    assert capsys.readouterr().err == "no amqp connection: refused\n"
