"""Connections to RabbitMQ that are made once, for one thread or one question, to any of its hosts."""

from typing import Any

import pika
from msgspec import Struct
from pika.exceptions import AMQPError

from taskyard.rabbitmq.connection import CONNECT_TIMEOUT_S, AmqpConnection, name_host, parameters
from taskyard.runtime.broker_hosts import Hosts, place, places, shuffled
from taskyard.runtime.tls import Tls


def blocking(
    broker_url: str,
    *,
    name: str,
    tls: Tls,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    blocked_timeout_s: float | None = None,
    whole_max_bytes: int | None = None,
) -> pika.BlockingConnection:
    """Return a connection for one thread, to any of the hosts, that reads what any producer may send.

    Args:
        broker_url: Where RabbitMQ is.
        name: What the connection is called in RabbitMQ's own views.
        tls: The certificates.
        connect_timeout_s: Longest wait for each host, in seconds.
        blocked_timeout_s: Longest wait for the end of an alarm, in seconds; None: no bound.
        whole_max_bytes: Longest body of a delivery that is kept as a whole, of others the beginning; None:
            there is no bound.

    Raises:
        AMQPError: If no connection can be made.
        OSError: Likewise.
    """
    ways = []
    for url in shuffled(broker_url):
        how = parameters(url, name=name, tls=tls)
        how.socket_timeout = how.stack_timeout = connect_timeout_s
        how.blocked_connection_timeout = blocked_timeout_s
        ways.append(how)
    kind = type("_Connection", (AmqpConnection,), {"whole_max_bytes": whole_max_bytes})
    try:
        return pika.BlockingConnection(ways, _impl_class=kind)
    except (AMQPError, OSError) as error:
        name_host(error, places(broker_url))
        raise


class Greeting(Struct, frozen=True):
    """What a host greets with, its version among it, and the URL of that host."""

    url: str
    properties: dict[str, Any]


def greeting(broker_url: str, *, name: str, tls: Tls) -> Greeting:
    """Return the greeting of the first host that answers.

    Raises:
        AMQPError: If no connection can be made.
        OSError: Likewise.
    """
    hosts = Hosts(broker_url)
    while hosts.untried > 1:
        try:
            return Greeting(hosts.url, _properties(hosts.url, name, tls))
        except (AMQPError, OSError):
            hosts.move_on()
    return Greeting(hosts.url, _properties(hosts.url, name, tls))


def _properties(url: str, name: str, tls: Tls) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    failed: list[BaseException] = []

    def lost(connection: AmqpConnection, reason: BaseException | str) -> None:
        failed.append(reason if isinstance(reason, BaseException) else AMQPError(reason))
        connection.ioloop.stop()

    def opened(connection: AmqpConnection) -> None:
        found.append(connection.server_properties)
        connection.close()

    connection = AmqpConnection(
        parameters(url, name=name, tls=tls),
        on_open_callback=opened,
        on_open_error_callback=lost,
        on_close_callback=lost,
    )
    connection.ioloop.start()
    connection.ioloop.close()
    if not found:
        name_host(failed[0], place(url))
        raise failed[0]
    return found[0]
