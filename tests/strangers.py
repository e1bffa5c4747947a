"""Traffic of strangers: every text that a program outside may choose is a new one each time."""

import http.client
import itertools
import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pika

from taskyard.job import rfc3339
from taskyard.local_servers.ports import LOOPBACK
from taskyard.rabbitmq.topology import SUBMIT_EXCHANGE, dead_queue
from tests import worker_tasks as tasks
from tests.yard import Yard

#: In every text that a stranger chooses: no label may have it.
MARK = "zq7x"
#: So long after it is made a schedule fires. Milliseconds.
SOON_MS = 300


class Strangers:
    """Sends what the API and RabbitMQ let anyone send.

    Args:
        yard: Whose queue and servers are used.
        port: Where the API listens.
    """

    def __init__(self, yard: Yard, port: int) -> None:
        self._yard = yard
        self._port = port
        #: Jobs that were accepted, and requests that were answered.
        self.ids: list[str] = []
        self.requests = 0

    def round(self, count: int) -> None:
        """Have `count` strangers try everything."""
        for _ in range(count):
            for method, path, body in self._requests():
                self._request(method, path, body)
        self._publish(list(itertools.chain(*(self._messages() for _ in range(count)))))

    def _requests(self) -> Iterator[tuple[str, str, Any]]:
        """Give method, path and body of requests with names that nobody has heard of."""
        queue = self._yard.queue
        yield "POST", "/v1/jobs", {"task": word()}
        yield "POST", "/v1/jobs", {"task": tasks.add.name, "args": [1], "queue": word()}
        yield "POST", "/v1/jobs", {"task": tasks.add.name, word(): 1}
        fields = {"id": word(), "tags": [word()], "queue": queue}
        yield "POST", "/v1/jobs", {"task": tasks.echo.name, "args": [word()], **fields}
        yield "POST", "/v1/jobs", {"task": tasks.fail_as.name, "args": [word()], "queue": queue}
        yield "POST", "/v1/jobs/batch", {"jobs": [{"task": word(), "queue": word()}]}
        yield "GET", f"/v1/jobs/{word()}", None
        yield "GET", f"/v1/jobs/{word()}/events", None
        yield "GET", f"/v1/jobs?task={word()}&queue={word()}&text={word()}", None
        yield "GET", f"/v1/{word()}/{uuid.uuid4()}", None
        yield "GET", f"/v1/dead-letters?reason={word()}", None
        yield verb(), "/v1/jobs", None
        yield verb(), f"/{word()}", None
        yield "DELETE", f"/metrics?{word()}", None
        for action in ("pause", "resume", "purge"):
            yield "POST", f"/v1/queues/{word()}/{action}", {}
        yield "POST", f"/v1/tasks/{word()}/pause", {}
        yield "PUT", f"/v1/tasks/{word()}/limits", {"concurrency": 1}
        schedule = word()
        job = {"task": tasks.echo.name, "args": [schedule], "queue": queue}
        soon = rfc3339(time.time_ns() // 1_000_000 + SOON_MS)
        yield "PUT", f"/v1/schedules/{schedule}", {**job, "every_s": 3600, "anchor_at": soon}
        yield "POST", f"/v1/schedules/{schedule}/trigger", None
        yield "DELETE", f"/v1/schedules/{word()}", None

    def _request(self, method: str, path: str, body: Any) -> None:
        headers = {"Content-Type": "application/json", "X-Request-Id": word(), "User-Agent": word()}
        connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=30)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {**headers, "Idempotency-Key": word()})
            with connection.getresponse() as answer:
                text = answer.read()
                if answer.status == 202 and path == "/v1/jobs":
                    self.ids.append(json.loads(text)["id"])
        finally:
            connection.close()
        self.requests += 1

    def _messages(self) -> Iterator[tuple[str, str, bytes, dict[str, Any]]]:
        """Give exchange, routing key, body and properties of messages that anyone may publish."""
        yard, strange = self._yard, {"message_id": word(), "app_id": word(), "type": word()}
        for task in (word(), tasks.echo.name):
            body = json.dumps({"task": task, "args": [word()]}).encode()
            yield SUBMIT_EXCHANGE, word(), body, {"headers": {word(): word()}}
        yield SUBMIT_EXCHANGE, yard.queue, b"{" + word().encode(), strange
        yield "", yard.queue, yard.body(word(), queue_name=word()), strange
        yield "", yard.queue, yard.body(tasks.echo.name, word(), queue_name=word()), {}
        yield "", yard.queue, word().encode(), {"headers": {"taskyard-attempt": word()}}
        headers = {
            "taskyard-reason": word(),
            "taskyard-queue": word(),
            "taskyard-error-type": word(),
        }
        yield "", dead_queue(yard.queue), word().encode(), {"headers": headers}
        yield "", word(), b"{}", {}

    def _publish(self, messages: list[tuple[str, str, bytes, dict[str, Any]]]) -> None:
        with self._yard.channel() as channel:
            for exchange, key, body, properties in messages:
                channel.basic_publish(exchange, key, body, pika.BasicProperties(**properties))


def word() -> str:
    """Return a name that nobody has used before."""
    return f"{MARK}-{uuid.uuid4()}"


def verb() -> str:
    """Return a method of HTTP that nobody has used before; servers take 20 characters."""
    return f"{MARK}{uuid.uuid4().hex[:12]}".upper()
