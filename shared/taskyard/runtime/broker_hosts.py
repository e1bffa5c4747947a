"""The nodes of RabbitMQ that one setting names, and which of them is tried next."""

import random
import re
from urllib.parse import urlsplit

#: Between whole URLs, as Celery and Dramatiq take several.
_BETWEEN = re.compile(r"\s*;\s*(?=amqps?://)")
_PORTS = {"amqp": 5672, "amqps": 5671}
#: What comes before the hosts, the hosts, and the rest. A comma in a password is none between hosts.
_HOSTS = re.compile(r"(amqps?://(?:[^/?#]*@)?)([^/?#@]*)(.*)", re.DOTALL)


def urls(broker_url: str) -> list[str]:
    """Return the URL of each host that `BROKER_URL` names.

    Hosts that share all else are separated by commas, `amqp://user:password@one:5672,two:5672/vhost`; whole
    URLs by semicolons. There may be spaces beside either.
    """
    return [each for url in _BETWEEN.split(broker_url) for each in _of_each_host(url)]


def _of_each_host(url: str) -> list[str]:
    match = _HOSTS.fullmatch(url)
    return (
        [url]
        if match is None
        else [match[1] + host.strip() + match[3] for host in match[2].split(",")]
    )


def shuffled(broker_url: str) -> list[str]:
    """Return the URL of each host in an order of their own for each caller, so that clients spread."""
    found = urls(broker_url)
    random.shuffle(found)
    return found


def place(url: str) -> str:
    """Return host and port of a URL, which may be shown."""
    parts = urlsplit(url)
    found = parts.netloc.rpartition("@")[2]
    return found if re.search(r":\d+$", found) else f"{found}:{_PORTS.get(parts.scheme, 0)}"


def places(broker_url: str) -> str:
    """Return the same of all hosts, separated by commas."""
    return ",".join(map(place, urls(broker_url)))


class Hosts:
    """Goes round the hosts, from a random one on, in rounds in which each has one try.

    Args:
        broker_url: As `BROKER_URL`.
    """

    def __init__(self, broker_url: str) -> None:
        self._urls = shuffled(broker_url)
        self._tried = 0

    @property
    def url(self) -> str:
        """The URL of the host whose turn it is."""
        return self._urls[0]

    @property
    def are_several(self) -> bool:
        """Whether there is another to go on to."""
        return len(self._urls) > 1

    @property
    def untried(self) -> int:
        """How many have not had their try in this round."""
        return len(self._urls) - self._tried

    def begin_round(self) -> None:
        """Give each host a try again."""
        self._tried = 0

    def move_on(self) -> None:
        """Take note that the connection is lost, or could not be made: it is the next host's turn."""
        self._tried += 1
        self._urls.append(self._urls.pop(0))
