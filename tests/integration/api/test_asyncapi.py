"""The AsyncAPI document: valid, whole, and true of what is on the wire."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pika
import pytest

from services.api.openapi.amqp_schemas import all_schemas, dead_letter_headers
from services.api.routes.asyncapi import document
from taskyard.dead_letters.message import dead_letter
from taskyard.dispatcher import first_message, later_message
from taskyard.job import JobError
from taskyard.rabbitmq.bodies import cut
from taskyard.rabbitmq.outgoing import Outgoing
from taskyard.rabbitmq.topology import dead_queue
from taskyard.request import JobRequest
from taskyard.store.jobs import Ready
from tests.amqp_document import departures, raw_departures
from tests.contract.jobs import new_job
from tests.polling import poll

pytest_plugins = ["tests.integration.api_fixtures"]

SCHEMA = Path(__file__).parents[2] / "asyncapi/asyncapi-3.1.0.json"


def references(value: Any) -> set[str]:
    """Return all `$ref` in a document."""
    if isinstance(value, list):
        return set().union(*map(references, value)) if value else set()
    if not isinstance(value, dict):
        return set()
    own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
    return own.union(*map(references, value.values()))


def found(reference: str) -> Any:
    """Return what a reference leads to."""
    place: Any = document()
    for part in reference.removeprefix("#/").split("/"):
        place = place[part]
    return place


def test_it_is_served_and_valid(api):
    """As JSON, and by AsyncAPI's own schema."""
    answer = api.get("/asyncapi.json")

    validator = jsonschema_rs.Draft7Validator(json.loads(SCHEMA.read_text()))
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert [
        f"{error.instance_path}: {error.message}" for error in validator.iter_errors(answer.json)
    ] == []
    assert api.get("/").json["links"]["asyncapi"] == "/asyncapi.json"


def test_the_check_finds_what_is_wrong():
    """AsyncAPI's schema is not one that everything passes."""
    validator = jsonschema_rs.Draft7Validator(json.loads(SCHEMA.read_text()))
    submissions = document()["channels"]["submissions"]
    parts: list[dict[str, Any]] = [
        {"bindings": {"amqp": {"is": "queue"}}},
        {"adress": "x"},
        {"messages": []},
    ]
    for part in parts:
        wrong = {**document(), "channels": {"submissions": {**submissions, **part}}}
        assert not validator.is_valid(wrong)


def test_every_reference_leads_somewhere_and_every_schema_is_used():
    """And operations name messages of their channel."""
    told = references(document())

    assert all(found(each) for each in told)
    assert {f"#/components/schemas/{name}" for name in all_schemas()} - told <= {
        "#/components/schemas/Job"
    }
    for operation in document()["operations"].values():
        channel = operation["channel"]["$ref"]
        assert all(m["$ref"].startswith(f"{channel}/") for m in operation.get("messages", []))


@pytest.mark.parametrize("name", all_schemas())
def test_every_schema_is_one(name):
    """Of JSON Schema, draft 7: what AsyncAPI's own are based on."""
    whole = {"$ref": f"#/components/schemas/{name}", "components": document()["components"]}

    jsonschema_rs.meta.validate(all_schemas()[name])
    jsonschema_rs.Draft7Validator(whole)


def test_a_submission_has_the_fields_of_rest():
    """And one more, which REST has no use for."""
    fields = all_schemas()["Submission"]["properties"].keys()

    assert fields == {*JobRequest.model_fields, "reply"}


def test_all_headers_of_a_dead_letter_are_told():
    """No other, and none is missing."""
    letter = dead_letter(
        "q",
        cut(b"12", 1),
        id="1",
        task="t",
        reason="timeout",
        error=JobError("E", "m"),
        attempts=1,
        first_failed_at_ms=1,
        worker="w",
        priority=0,
    )

    assert dead_letter_headers().keys() == (letter.headers or {}).keys()


def taken(channel, publisher, queue: str, message: Outgoing) -> tuple[pika.BasicProperties, bytes]:
    """Publish a message and take it out of a queue."""
    publisher.publish([message], deadline_s=30)
    _, properties, body = poll(lambda: (got := channel.basic_get(queue, True))[0] and got)
    return properties, body


def test_jobs_on_the_wire_are_as_told(channel, publisher, queue):
    """The first attempt, and a later one."""
    job = new_job(queue=queue)
    later = later_message(Ready(job.id, queue, job.body, 2, 0, 0))

    for message in (first_message(job), later):
        assert raw_departures("job", *taken(channel, publisher, queue, message)) == []


def test_dead_letters_on_the_wire_are_as_told(channel, publisher, queue):
    """Whatever their body is."""
    letter = dead_letter(
        queue,
        b"{",
        id="1",
        task=None,
        reason="undecodable",
        error=JobError("E", "m"),
        attempts=0,
        first_failed_at_ms=None,
        worker=None,
        priority=0,
    )

    properties, body = taken(channel, publisher, dead_queue(queue), letter)

    assert departures("deadLetter", properties, body.decode()) == []
