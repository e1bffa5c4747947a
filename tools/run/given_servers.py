"""The servers that the user has brought: how they may be shown, and whether they answer."""

import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from taskyard.local_servers.errors import LocalServerError

#: Longest wait for a connection to one host. Seconds.
TIMEOUT_S = 2.0
PORTS = {"amqp": 5672, "amqps": 5671, "redis": 6379, "rediss": 6379}

_BETWEEN_URLS = re.compile(r";\s*(?=amqps?://)")


def place(url: str) -> str:
    """Return the hosts and ports of an address, without its login."""
    return ",".join(_places(url))


def check_answering(addresses: Mapping[str, str]) -> None:
    """Return if something listens at each address.

    Args:
        addresses: By the variables of the user, those that name files among them.

    Raises:
        LocalServerError: If nothing does; it names all of them, and what to do.
    """
    faults = [fault for name, text in addresses.items() if (fault := _fault(name, text))]
    if faults:
        raise LocalServerError("\n".join(faults))


def lines(addresses: Mapping[str, str]) -> Iterator[str]:
    """Give a line on each address, for the user."""
    for name, text in addresses.items():
        yield f"Using {server(name)} at {place(address(name, text))} ({name})"


def address(name: str, text: str) -> str:
    """Return the address that a variable holds, or the file that it names.

    Raises:
        LocalServerError: If there is no such file.
    """
    if not name.endswith("_FILE"):
        return text
    try:
        return Path(text).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise LocalServerError(f"{name} is {text!r}, which cannot be read: {error}") from None


def server(name: str) -> str:
    """Return what the variable `name` has the address of."""
    return "RabbitMQ" if name.startswith("BROKER") else "Redis"


def _fault(name: str, text: str) -> str:
    url = address(name, text)
    places = _places(url)
    errors = [_try_to_connect(url, each) for each in places]
    if not all(errors):
        return ""
    return (
        f"{server(name)} at {','.join(places)} does not answer: {errors[0]}.\n"
        f"{name} has that address: start it, or `unset {name}` and `make run` starts its own."
    )


def _places(url: str) -> list[str]:
    """Return `host:port` of each host of RabbitMQ, or the one of Redis; of a socket its path."""
    found = []
    for each in _BETWEEN_URLS.split(url):
        parts = urlsplit(each)
        if parts.scheme == "unix":
            return [unquote(parts.path)]
        for host in parts.netloc.rpartition("@")[2].split(","):
            name = host.strip() or "localhost"
            has_port = re.search(r":\d+$", name)
            found.append(name if has_port else f"{name}:{PORTS.get(parts.scheme, 0)}")
    return found


def _try_to_connect(url: str, to: str) -> str:
    """Return what is wrong; nothing if the server takes connections, or the services will say more."""
    try:
        if url.startswith("unix:"):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(TIMEOUT_S)
                connection.connect(to)
        else:
            host, _, port = to.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), timeout=TIMEOUT_S).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""
