"""How messages from RabbitMQ depart from the AsyncAPI document that the API publishes."""

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import jsonschema_rs
import pika

from services.api.routes.asyncapi import document

#: Names of the messages that a reply may be.
REPLIES = tuple(document()["channels"]["replies"]["messages"])


def departures(name: str, properties: pika.BasicProperties, body: Any) -> list[str]:
    """Return how a message departs from the one of this name; `body` is its JSON, decoded."""
    told = {key: value for key, value in vars(properties).items() if value is not None}
    message = {"headers": told, "payload": body}
    return [f"{e.instance_path}: {e.message}" for e in _validator(name).iter_errors(message)]


def names_of(properties: pika.BasicProperties, body: Any, names: Iterable[str]) -> list[str]:
    """Return which of these messages it is."""
    return [name for name in names if not departures(name, properties, body)]


def raw_departures(name: str, properties: pika.BasicProperties, body: bytes) -> list[str]:
    """Return the same of a body as it was read."""
    return departures(name, properties, json.loads(body))


@lru_cache
def _validator(name: str) -> Any:
    components = document()["components"]
    message = components["messages"][name]
    schema = {
        "type": "object",
        "properties": {part: message[part] for part in ("headers", "payload")},
        "components": {"schemas": components["schemas"]},
    }
    return jsonschema_rs.Draft7Validator(schema, validate_formats=True)
