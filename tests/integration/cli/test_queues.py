"""`taskyard queues move`, on a yard whose queue was declared with the type that is not meant any more."""

import json
import re

import pytest
from click.testing import CliRunner

from taskyard.cli import main
from taskyard.rabbitmq.topology import INTAKE_QUEUE, QUORUM_SINCE, dead_queue
from tests import worker_tasks as tasks
from tests.polling import poll


@pytest.fixture
def yard(make_yard, version):
    """A yard that submits with the type that `auto` does not mean here; nothing in it is running."""
    other = "classic" if version >= QUORUM_SINCE else "quorum"
    return make_yard(QUEUE_TYPE=other, WORKER_THREADS="1")


@pytest.fixture
def run(yard):
    """A function that runs the command line with `auto`; gives its exit code and what it says."""

    def command(*arguments):
        done = CliRunner().invoke(main, arguments, env={**yard.env, "QUEUE_TYPE": "auto"})
        return done.exit_code, done.output

    return command


def cells(table):
    """Return the cells of each line of a table."""
    return [re.split(r" {2,}", line) for line in table.splitlines()]


def test_the_error_names_the_command_and_the_command_mends_it(yard, run):
    """Jobs that wait in a queue of the other type run, in their order, once it is moved."""
    ids = yard.submit_many(tasks.note, 50)
    worker = yard.worker(QUEUE_TYPE="auto", WORKER_QUEUES=yard.queue)
    worker.start()
    try:
        (problem,) = poll(lambda: [p for p in worker.problems() if "other arguments" in p])
        assert f"taskyard queues move {yard.queue}" in problem
        code, said = run("queues", "move", yard.queue)
        assert (code, "stop all services first" in said) == (1, True)
    finally:
        worker.stop()

    code, said = run("queues", "move", yard.queue)

    assert code == 0
    assert [yard.queue, "moved", "50"] in cells(said)
    said = run("queues", "move", yard.queue)[1]
    assert [yard.queue, "as it should be", "0"] in cells(said)
    with yard.running(yard.worker(QUEUE_TYPE="auto", WORKER_QUEUES=yard.queue)):
        poll(lambda: yard.states(ids) == {"completed": 50})
    assert [event.job_id for event in yard.events("ran")] == ids


def test_a_move_is_in_the_audit_log(yard, run):
    """With what was moved; one that had nothing to do is not."""
    yard.submit_many(tasks.note, 3)

    run("queues", "move", yard.queue)
    run("queues", "move", yard.queue)

    (entry,) = json.loads(run("log", "--action", "queue.move", "-o", "json")[1])["items"]
    assert entry["target"] == yard.queue
    assert entry["after"] == {dead_queue(yard.queue): 0, yard.queue: 3}


@pytest.mark.parametrize("arguments", [(), ("--all", "mail")])
def test_queues_are_named_or_all_are_meant(run, arguments):
    """Not both, and not neither."""
    code, said = run("queues", "move", *arguments)

    assert (code, "--all" in said) == (2, True)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a b",
        "\udcff",
        "amq.direct",
        "mail.dead.dead",
        "taskyard.unrouted.dead",
        "taskyard.moving.mail",
    ],
)
def test_a_name_that_no_work_queue_can_have_is_refused(run, name):
    """Such as that of what belongs to a queue, which would get arguments that are not its own."""
    code, said = run("queues", "move", name)

    assert (code, "name a work queue" in said) == (2, True)


def test_all_queues_that_the_store_knows_are_moved(yard, run):
    """And those of submissions."""
    yard.submit_many(tasks.note, 2)

    code, said = run("queues", "move", "--all")

    assert code == 0
    assert [yard.queue, "moved", "2"] in cells(said)
    assert INTAKE_QUEUE in said


def test_a_queue_is_meant_by_the_name_of_its_dead_letters_too(yard, run):
    """It is what an error of RabbitMQ's may name; what nobody has is said not to be there."""
    yard.submit_many(tasks.note, 1)

    assert [yard.queue, "moved", "1"] in cells(run("queues", "move", dead_queue(yard.queue))[1])
    code, said = run("queues", "move", "nobodys")
    assert (code, cells(said)[1:]) == (0, [["nobodys", "not there", "0"]])
