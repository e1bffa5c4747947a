"""How large messages may be, for RabbitMQ and for taskyard."""

from pathlib import Path

from pika.exceptions import ChannelClosedByBroker

from taskyard import config
from taskyard.local_servers.rabbit_server import MAX_MESSAGE_BYTES
from taskyard.rabbitmq.size_limit import largest, limit_in

CONF = Path(__file__).parents[3] / "deploy/rabbitmq/rabbitmq.conf"


def test_rabbitmq_takes_all_that_taskyard_publishes():
    """With default settings, in compose and in `make run` alike."""
    assert f"max_message_size = {MAX_MESSAGE_BYTES}\n" in CONF.read_text()
    assert 2 * largest(config.Settings()).size_bytes <= MAX_MESSAGE_BYTES


def test_the_largest_follows_the_settings():
    """Each of them may be what is largest."""
    jobs = {"payload_max_bytes": 9_000_000, "dead_letter_max_bytes": 9_001_024}
    assert largest(config.load(**jobs)) == (9_001_024, "PAYLOAD_MAX_BYTES")
    assert largest(config.load(result_max_bytes=9_000_000)) == (9_065_536, "RESULT_MAX_BYTES")


def test_only_a_bound_that_is_told_is_learnt():
    """406 is said of much else."""
    text = "PRECONDITION_FAILED - message size 9 is larger than configured max size 8"
    assert limit_in(ChannelClosedByBroker(406, text)) == 8
    assert limit_in(ChannelClosedByBroker(406, "inequivalent arg")) is None
    assert limit_in(ChannelClosedByBroker(404, text)) is None
    assert limit_in(ValueError(text)) is None
