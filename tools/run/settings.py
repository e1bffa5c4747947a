"""What the environment tells the runner."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from taskyard.local_servers.errors import LocalServerError
from taskyard.local_servers.ports import LOOPBACK
from taskyard.local_servers.rabbit_server import rabbit_url
from taskyard.local_servers.redis_server import redis_url
from tools.run.kept_ports import KeptPorts

# The worker first stops taking jobs and lets the running ones finish, then closes its connections.
WORKER_MARGIN_S = 10.0

# An address, or the file that holds it.
BROKER = ("BROKER_URL", "BROKER_URL_FILE")
STORE = ("RESULT_BACKEND", "RESULT_BACKEND_FILE")

# What programs in other terminals need as the services have it, beside the addresses.
SHARED = ("KEY_PREFIX", "QUEUE_TYPE", "TLS_CA_FILE", "TLS_CERT_FILE", "TLS_KEY_FILE")

NO_CHECKOUT = "{} has no services/: start from the root of the checkout"


@dataclass(frozen=True)
class RunSettings:
    """The runner's settings; everything else in the environment goes to the services as it is."""

    checkout: Path
    #: The servers that the user has brought, as environment variables.
    given_addresses: Mapping[str, str]
    #: Those of the user's other settings that programs which submit jobs need too.
    shared: Mapping[str, str]
    api_host: str
    api_port: int
    shutdown_grace_s: float

    @property
    def has_broker(self) -> bool:
        """Whether the user has brought a RabbitMQ."""
        return any(name in self.given_addresses for name in BROKER)

    @property
    def has_store(self) -> bool:
        """Whether the user has brought a Redis."""
        return any(name in self.given_addresses for name in STORE)

    @property
    def folder(self) -> Path:
        """Where the servers keep their data, and the runner its lock."""
        return self.checkout / ".run"

    @property
    def ports_file(self) -> Path:
        """Where the ports of the runner's own servers are kept."""
        return self.folder / "ports"

    @property
    def worker_grace_s(self) -> float:
        """How long the worker may take to stop."""
        return self.shutdown_grace_s + WORKER_MARGIN_S


def read_settings(environ: Mapping[str, str], checkout: Path) -> RunSettings:
    """Return the settings for the `checkout`.

    Raises:
        LocalServerError: If values make no sense or `checkout` is none; it names every fault.
    """
    faults = [] if (checkout / "services").is_dir() else [NO_CHECKOUT.format(checkout)]
    port = _number(int, environ, "API_PORT", 5000, lowest=1, highest=65_535, faults=faults)
    grace_s = _number(float, environ, "SHUTDOWN_GRACE", 30, lowest=0, highest=86_400, faults=faults)
    if faults:
        raise LocalServerError("\n".join(faults))
    given = {name: environ[name] for name in (*BROKER, *STORE) if environ.get(name)}
    settings = RunSettings(
        checkout=checkout,
        given_addresses=given,
        shared={name: environ[name] for name in SHARED if environ.get(name)},
        api_host=environ.get("API_HOST") or LOOPBACK,
        api_port=int(port),
        shutdown_grace_s=grace_s,
    )
    own = _own_addresses(KeptPorts(settings.ports_file))
    theirs = {name: text for name, text in given.items() if own.get(name) != text}
    return replace(settings, given_addresses=theirs)


def _own_addresses(ports: KeptPorts) -> dict[str, str]:
    """Return what a shell has of the runner's own servers, if it has sourced the file that names them.

    They are no servers that the user has brought: the runner has to start them.
    """
    rabbit, redis = ports.port("rabbitmq"), ports.port("redis")
    own = {} if rabbit is None else {"BROKER_URL": rabbit_url(rabbit)}
    return own if redis is None else {**own, "RESULT_BACKEND": redis_url(redis)}


def _number(
    parse: Callable[[str], float],
    environ: Mapping[str, str],
    name: str,
    default: int,
    *,
    lowest: int,
    highest: int,
    faults: list[str],
) -> float:
    text = environ.get(name) or str(default)
    with suppress(ValueError):
        number = parse(text)
        if lowest <= number <= highest:
            return number
    faults.append(f"{name} is {text!r}: it must be a number from {lowest} to {highest}")
    return default
