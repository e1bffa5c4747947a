"""The AsyncAPI document: what travels over RabbitMQ, for programs that speak AMQP."""

from functools import lru_cache
from typing import Any

from apiflask import APIBlueprint
from flask import Response

from services.api.http.replies import reply
from services.api.openapi import describe
from services.api.openapi.amqp_schemas import all_schemas
from services.api.openapi.shapes import Schema, ref
from taskyard import __version__
from taskyard.rabbitmq.topology import SUBMIT_EXCHANGE

blueprint = APIBlueprint("asyncapi", __name__)

_BINDING = {"bindingVersion": "0.3.0"}
_CORRELATION = {
    "description": "The AMQP property; a reply has that of the submission.",
    "location": "$message.header#/correlation_id",
}
_DESCRIPTION = (
    "What programs and taskyard say to each other over RabbitMQ (AMQP 0-9-1). In `headers` of a message "
    "stand its AMQP properties, and in their `headers` its headers."
)
#: The messages that a reply may be, to a submission or (the last) when the job ends.
_REPLIES = ("accepted", "acceptedBatch", "partial", "refused", "ended")


@blueprint.get("/asyncapi.json")
@blueprint.doc(
    tags=["Operation"],
    responses=describe.answers(
        {200: describe.other("The document.", "application/json", {"type": "object"})}
    ),
)
def get_asyncapi() -> Response:
    """Return what can be said over RabbitMQ (AsyncAPI 3.1): submissions, replies, messages, dead letters.

    It is made of the same models as this API, and checked as strictly.
    """
    return reply(document())


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    """Return the AsyncAPI document."""
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "taskyard",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {"rabbitmq": _server()},
        "channels": _channels(),
        "operations": _operations(),
        "components": {"schemas": all_schemas(), "messages": _messages()},
    }


def _server() -> Schema:
    return {
        "host": "{host}:{port}",
        "protocol": "amqp",
        "protocolVersion": "0.9.1",
        "description": "The RabbitMQ that BROKER_URL names: 3.10 to 4.3.",
        "variables": {
            "host": {"default": "localhost"},
            "port": {"default": "5672", "description": "5671 with TLS (amqps)."},
        },
    }


def _channels() -> Schema:
    return {
        "submissions": {
            "address": "{queue}",
            "description": f"The exchange `{SUBMIT_EXCHANGE}`; the routing key may name the job's queue.",
            "parameters": {"queue": {"description": "The job's queue; empty: the task's own."}},
            "messages": _named("submission", "submissionBatch"),
            "bindings": {"amqp": {"is": "routingKey", "exchange": _exchange(), **_BINDING}},
        },
        "workQueue": {
            "address": "{queue}",
            "description": "The ready jobs of one queue, read by its workers.",
            "parameters": {"queue": {"description": "Name of the queue."}},
            "messages": _named("job"),
            "bindings": {"amqp": {"is": "queue", "queue": _queue(), **_BINDING}},
        },
        "deadLetters": {
            "address": "{queue}.dead",
            "description": "What could not become a job, and jobs that used up their retries.",
            "parameters": {
                "queue": {"description": "The work queue; `taskyard.intake` of submissions."}
            },
            "messages": _named("deadLetter"),
            "bindings": {"amqp": {"is": "queue", "queue": _queue(), **_BINDING}},
        },
        "replies": {
            "address": None,
            "description": "The queue that a submission's property `reply_to` names.",
            "messages": _named(*_REPLIES),
        },
    }


def _exchange() -> Schema:
    return {"name": SUBMIT_EXCHANGE, "type": "topic", "durable": True, "autoDelete": False}


def _queue() -> Schema:
    return {"durable": True, "exclusive": False, "autoDelete": False}


def _operations() -> Schema:
    """Return what taskyard does: it receives what others send."""
    published = {"amqp": {"deliveryMode": 2, "mandatory": True, "ack": True, **_BINDING}}
    return {
        "submit": {
            **_does("receive", "submissions", "Make jobs of submissions.", published),
            "reply": {
                "address": {
                    "description": "The property `reply_to`; without it there is no reply.",
                    "location": "$message.header#/reply_to",
                },
                "channel": {"$ref": "#/channels/replies"},
                "messages": [{"$ref": f"#/channels/replies/messages/{n}"} for n in _REPLIES[:-1]],
            },
        },
        "tellOutcome": {
            **_does(
                "send",
                "replies",
                "Reply how a job ended, if the submission requests it.",
                published,
            ),
            "messages": [{"$ref": "#/channels/replies/messages/ended"}],
        },
        "run": _does("receive", "workQueue", "Run jobs.", published),
        "dispatch": _does("send", "workQueue", "Hand jobs that are ready to workers.", published),
        "writeDeadLetter": _does(
            "send", "deadLetters", "Keep a message that failed, with the reason.", published
        ),
    }


def _does(action: str, channel: str, summary: str, bindings: Schema) -> Schema:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "bindings": bindings,
    }


def _messages() -> Schema:
    replies = {"Accepted", "AcceptedBatch", "Partial", "Refused", "Ended"}
    return {
        "submission": _message("Submission", "SubmissionProperties"),
        "submissionBatch": _message("SubmissionBatch", "SubmissionProperties"),
        "job": _message("Message", "JobProperties"),
        "deadLetter": {
            "name": "DeadLetter",
            "summary": "A message as it was, byte for byte; the reason is in its headers.",
            "headers": ref("DeadLetterProperties"),
            "payload": {
                "description": "The bytes of the message that died, which need not be JSON."
            },
        },
        **{_lower(name): _message(name, "ReplyProperties") for name in sorted(replies)},
    }


def _message(schema: str, properties: str) -> Schema:
    return {
        "name": schema,
        "contentType": "application/json",
        "correlationId": _CORRELATION,
        "headers": ref(properties),
        "payload": ref(schema),
    }


def _lower(name: str) -> str:
    return name[0].lower() + name[1:]


def _named(*names: str) -> Schema:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in names}
