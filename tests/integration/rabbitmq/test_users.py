"""The users of deploy/rabbitmq: with them the whole system works, and each can do no more than it must."""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

import pika
import pytest
from pika.exceptions import ChannelClosedByBroker

from taskyard.errors import BrokerUnavailable
from taskyard.rabbitmq.dead_queue import walk
from taskyard.rabbitmq.inspect import Depth, DepthReader, QueueDepths
from taskyard.rabbitmq.queue_move import Moved, QueueMove, moving_queue
from taskyard.rabbitmq.topology import QUORUM_SINCE, dead_queue
from tests import worker_tasks as tasks
from tests.polling import poll
from tests.secured import manage
from tests.yard import CHECKOUT, metric

REPLY_TO = "amq.rabbitmq.reply-to"
REFUSED = 403


@contextmanager
def channel_of(secured, user):
    """Give a channel of a user."""
    url = pika.URLParameters(secured.rabbit.plain_url_of(user))
    with pika.BlockingConnection(url) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        yield channel


def submit(secured, submission, *, replies_wanted=1):
    """Publish a submission as the producer, and return the last reply of so many."""
    replies = []
    with channel_of(secured, "producer") as channel:
        channel.basic_consume(REPLY_TO, lambda *d: replies.append(json.loads(d[3])), auto_ack=True)
        channel.basic_publish(
            "taskyard.submit",
            "",
            json.dumps(submission).encode(),
            pika.BasicProperties(delivery_mode=2, reply_to=REPLY_TO),
            mandatory=True,
        )
        deadline = time.monotonic() + 30
        while len(replies) < replies_wanted and time.monotonic() < deadline:
            channel.connection.process_data_events(time_limit=15)
    return replies[replies_wanted - 1]


def messages(secured, queue):
    """Return how many wait in a queue."""
    with channel_of(secured, "admin") as channel:
        return channel.queue_declare(queue, passive=True).method.message_count


@pytest.fixture(scope="module")
def system(secured, secured_yard):
    """The running system, once jobs have gone all ways through it and RabbitMQ has refused nothing."""
    yard = secured_yard
    poll(lambda: yard.store.tasks() and yard.queue in yard.store.queues())
    _over_amqp(secured, yard)
    _over_rest(yard)
    _dead_and_replayed(secured, yard)
    _accounted_for(secured, yard)
    assert secured.rabbit.refusals() == []
    return yard


def _over_amqp(secured, yard):
    reply = submit(secured, {"task": tasks.add.name, "args": [40, 2], "queue": yard.queue})
    assert reply["status"] == "accepted"
    assert bytes(yard.ended(reply["id"]).result) == b"42"
    wanted = {"task": tasks.add.name, "args": [1], "queue": yard.queue, "reply": "result"}
    outcome = submit(secured, wanted, replies_wanted=2)
    assert (outcome["state"], outcome["result"]) == ("completed", 1)
    kept = messages(secured, "taskyard.intake.dead")
    reply = submit(secured, {"task": "nobody", "queue": yard.queue})
    assert (reply["status"], reply["code"]) == ("refused", "invalid")
    poll(lambda: messages(secured, "taskyard.intake.dead") == kept + 1)


def _over_rest(yard):
    job = {"task": tasks.flaky.name, "args": [1], "queue": yard.queue, "delay_s": 0.1}
    job_id = yard.call("POST", "/v1/jobs", job)["id"]
    ended = yard.call("GET", f"/v1/jobs/{job_id}?wait_s=15")
    assert (ended["state"], ended["attempt"]) == ("completed", 2)


def _dead_and_replayed(secured, yard):
    gate = yard.new_gate()
    job = {"task": tasks.fail_until.name, "args": [gate], "queue": yard.queue, "max_retries": 0}
    job_id = yard.call("POST", "/v1/jobs", job)["id"]
    assert yard.call("GET", f"/v1/jobs/{job_id}?wait_s=15")["state"] == "failed"
    assert messages(secured, dead_queue(yard.queue)) == 1
    yard.open(gate)
    yard.call("POST", "/v1/dead-letters/replay", {"filter": {"queue": yard.queue}})
    poll(lambda: yard.job_in("completed", job_id))
    poll(lambda: messages(secured, dead_queue(yard.queue)) == 0)


def _accounted_for(secured, yard):
    env = {"PATH": os.environ["PATH"], **yard.env, **secured.env("api")}
    program = [sys.executable, "-c", "from taskyard.cli import main; main()", "verify"]
    subprocess.run(program, env=env, cwd=CHECKOUT, check=True, capture_output=True, timeout=60)
    scheduler = yard.scheduler_service
    poll(lambda: metric(scheduler, "taskyard_queue_consumers", queue=yard.queue) == 1)


def test_the_whole_system_works_with_them(system):
    """Submissions by AMQP and REST, retries, dead letters, replays, verification and measures."""
    assert system.worker_service.problems() == []


# What each must not do


def publish(exchange, key="any"):
    """Return an operation that publishes."""
    return lambda channel, yard: channel.basic_publish(exchange, key.format(yard.queue), b"{}")


def take(queue):
    """Return an operation that takes a message."""
    return lambda channel, yard: channel.basic_get(queue.format(yard.queue))


def consume(queue):
    """Return an operation that consumes."""
    return lambda channel, yard: channel.basic_consume(queue.format(yard.queue), lambda *_: None)


def purge(queue):
    """Return an operation that empties a queue."""
    return lambda channel, yard: channel.queue_purge(queue.format(yard.queue))


def delete(queue):
    """Return an operation that deletes a queue."""
    return lambda channel, yard: channel.queue_delete(queue.format(yard.queue))


def delete_exchange(name):
    """Return an operation that deletes an exchange."""
    return lambda channel, yard: channel.exchange_delete(name)


def declare(queue, **options):
    """Return an operation that declares a queue."""
    return lambda channel, yard: channel.queue_declare(queue, durable=True, **options)


def declare_exchange(name):
    """Return an operation that declares an exchange."""
    return lambda channel, yard: channel.exchange_declare(name, "fanout", durable=True)


def bind(queue, exchange):
    """Return an operation that diverts what goes to an exchange."""
    return lambda channel, yard: channel.queue_bind(queue.format(yard.queue), exchange, "#")


#: Nobody but an operator.
FORBIDDEN_TO_ALL = {
    "publish to amq.topic": publish("amq.topic"),
    "publish to amq.fanout": publish("amq.fanout"),
    "declare a queue of the system": declare("taskyard.other"),
    "declare an exchange of the system": declare_exchange("taskyard.other"),
    "divert submissions": bind("{}", "taskyard.submit"),
    "publish to a queue of the system by its exchange": publish("taskyard.other"),
}
#: Nobody but the scheduler, which is the intake.
FORBIDDEN_BUT_TO_SCHEDULER = {
    "take submissions": take("taskyard.intake"),
    "consume submissions": consume("taskyard.intake"),
    "purge submissions": purge("taskyard.intake"),
    "delete the intake": delete("taskyard.intake"),
    "close the front door": delete_exchange("taskyard.submit"),
    "take refused submissions": take("taskyard.intake.dead"),
    "take what is unrouted": take("taskyard.unrouted"),
    "publish as unrouted": publish("taskyard.unrouted"),
    "take dead letters": take("{}.dead"),
    "consume dead letters": consume("{}.dead"),
    "purge dead letters": purge("{}.dead"),
}
#: Neither producer nor monitor.
FORBIDDEN_OUTSIDE = {
    "publish to a work queue": publish("", "{}"),
    "publish to the intake past its exchange": publish("", "taskyard.intake"),
    "publish a dead letter": publish("taskyard.dead", "{}"),
    "take a job": take("{}"),
    "consume jobs": consume("{}"),
    "purge jobs": purge("{}"),
    "delete a work queue": delete("{}"),
    "delete dead letters": delete("{}.dead"),
    "declare a queue": declare("strange"),
    "declare a queue that the server names": declare("", exclusive=True),
    "declare an exchange": declare_exchange("strange"),
    "delete the exchange of dead letters": delete_exchange("taskyard.dead"),
}
INTO_THE_FRONT_DOOR = {"publish a submission": publish("taskyard.submit")}
INSIDE = {**FORBIDDEN_TO_ALL, **FORBIDDEN_BUT_TO_SCHEDULER, **INTO_THE_FRONT_DOOR}
OUTSIDE = {**FORBIDDEN_TO_ALL, **FORBIDDEN_BUT_TO_SCHEDULER, **FORBIDDEN_OUTSIDE}
FORBIDDEN = {
    "producer": OUTSIDE,
    "monitor": {**OUTSIDE, **INTO_THE_FRONT_DOOR},
    "api": INSIDE,
    "worker": INSIDE,
    "scheduler": {**FORBIDDEN_TO_ALL, **INTO_THE_FRONT_DOOR},
}


@pytest.mark.parametrize(
    ("user", "what"), [(user, what) for user, forbidden in FORBIDDEN.items() for what in forbidden]
)
def test_a_user_is_refused(secured, system, user, what):
    """RabbitMQ answers 403 and does nothing."""
    with channel_of(secured, user) as channel, pytest.raises(ChannelClosedByBroker) as caught:
        FORBIDDEN[user][what](channel, system)

    assert caught.value.reply_code == REFUSED
    assert f"refused for user '{user}'" in caught.value.reply_text


def test_a_refusal_is_in_the_log(secured, system):
    """Where the system's own refusals would be found."""
    before = len(secured.rabbit.refusals())

    with channel_of(secured, "worker") as channel, pytest.raises(ChannelClosedByBroker):
        channel.queue_purge("taskyard.intake")

    poll(lambda: len(secured.rabbit.refusals()) > before)


def test_a_walk_without_the_right_to_it_is_no_walk(secured, system):
    """It is not taken for one that another has under way."""
    url = secured.rabbit.plain_url_of("worker")

    with pytest.raises(BrokerUnavailable, match="refused for user 'worker'"):
        walk(url, "taskyard.intake", lambda _: False)


def test_a_queue_that_the_user_may_not_see_is_told_of(secured, system, version):
    """A verification that left it out would find nothing missing; RabbitMQ asks for a right from 4.3 on."""
    peek = DepthReader(secured.rabbit.plain_url_of("producer"))

    if version >= QUORUM_SINCE:
        with pytest.raises(BrokerUnavailable, match="refused for user 'producer'"):
            peek.depths([system.queue])
        assert peek.depths([system.queue], may_be_hidden=True) == {}
    else:
        assert list(peek.depths([system.queue])) == [system.queue]


def test_users_have_no_rights_in_another_virtual_host(secured, system):
    """They cannot even connect there."""
    url = secured.rabbit.plain_url_of("producer").replace("/taskyard", "/%2F")

    with pytest.raises(pika.exceptions.AMQPConnectionError):
        pika.BlockingConnection(pika.URLParameters(url))


@pytest.mark.parametrize("user", ["producer", "api", "worker", "scheduler"])
def test_services_and_producers_see_no_management(secured, system, user):
    """Nor may they use it to get around AMQP."""
    assert manage(secured, user, "overview") == 401


def test_the_monitor_sees_all_and_changes_nothing(secured, system):
    """No message, no queue, no user."""
    queue = f"queues/taskyard/{system.queue}"
    look = {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}

    assert manage(secured, "monitor", "overview") == 200
    assert manage(secured, "monitor", queue) == 200
    assert manage(secured, "monitor", f"{queue}/get", "POST", look) >= 400
    assert manage(secured, "monitor", queue, "DELETE") >= 400
    assert manage(secured, "monitor", "users/strange", "PUT", {"tags": "administrator"}) == 401
    assert manage(secured, "admin", queue) == 200


def test_nobody_else_is_a_user(secured, system):
    """Not even guest."""
    assert manage(secured, "admin", "users") == 200
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        pika.BlockingConnection(
            pika.URLParameters(f"amqp://guest:guest@127.0.0.1:{secured.rabbit.port}/taskyard")
        )


def test_the_operator_moves_what_another_has_signed(secured):
    """RabbitMQ takes a message with a `user_id` from nobody else, but from who may impersonate."""
    queue = "signed"
    url = secured.rabbit.plain_url_of("admin")
    with channel_of(secured, "admin") as channel:
        channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
    with channel_of(secured, "scheduler") as channel:
        signed = pika.BasicProperties(user_id="scheduler", delivery_mode=2)
        channel.basic_publish("", queue, b"{}", signed, mandatory=True)

    moved = QueueMove(url, queue_type="classic").move(queue)

    with channel_of(secured, "admin") as channel:
        _, properties, body = channel.basic_get(queue, auto_ack=True)
        channel.queue_delete(queue)
        channel.queue_delete(dead_queue(queue))
    assert Moved(queue, 1, is_new=True) in moved
    assert (properties.user_id, body) == ("scheduler", b"{}")


def test_the_scheduler_sees_that_a_queue_is_being_moved(secured):
    """So it does not take the messages that are in the one beside it for lost ones."""
    moving = moving_queue("strange")
    with channel_of(secured, "admin") as channel:
        channel.queue_declare(moving, durable=True)
    depths = QueueDepths(secured.rabbit.plain_url_of("scheduler"))
    depths.start()

    def seen():
        with suppress(BrokerUnavailable):
            return depths.read([moving], deadline_s=30)

    assert poll(seen) == {moving: Depth(0, 0)}
    depths.close()
    with channel_of(secured, "admin") as channel:
        channel.queue_delete(moving)
