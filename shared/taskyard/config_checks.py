"""What settings have to meet beyond their types and bounds: forms of text, files, and other settings.

A check sees only the fields of `Settings` that are declared above its own.
"""

import ipaddress
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel, ValidationError, ValidationInfo, ValidatorFunctionWrapHandler

from taskyard import broker_hosts, per_queue
from taskyard.message import MESSAGE_SLACK_BYTES
from taskyard.tls import check_ca, check_client


def from_file(
    cls: type[BaseModel], value: object, check: ValidatorFunctionWrapHandler, info: ValidationInfo
) -> object:
    """Return a setting, or what is in the file that is named in its place, once it has passed its checks.

    No error shows what is in the file.
    """
    name = str(info.field_name)
    path = info.data.get(f"{name}_file")
    if not path:
        return check(value)
    if value != cls.model_fields[name].default:
        raise ValueError(f"{name.upper()}_FILE is set too: set one of them")
    where = f"{name.upper()}_FILE={path!r}"
    try:
        content = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ValueError(f"{where} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{where} holds no text") from None
    if not content:
        raise ValueError(f"{where} is empty")
    try:
        return check(content)
    except ValidationError as error:
        fault = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ValueError(f"{where}: what it holds is refused: {fault}") from None


def is_url(url: str) -> str:
    """Refuse what would be refused where it is used, in words that quote a part of the password."""
    try:
        _ = urlsplit(url).port
    except ValueError:
        hint = "in a password / is written %2F, and @ %40"
        raise ValueError(f"must be a URL with a host and a port; {hint}") from None
    return url


def are_hosts(broker_url: str) -> str:
    """Refuse several hosts that cannot be those of one cluster, and what is no host."""
    each = [urlsplit(is_url(url)) for url in broker_hosts.urls(broker_url)]
    if any(";" in url.path for url in each):
        raise ValueError("; stands between whole URLs; in a virtual host it is written %3B")
    if len(each) > 1:
        places = [(url.hostname, url.port) for url in each]
        if any(not host for host, _ in places):
            raise ValueError("a host is missing beside a comma")
        if len(set(places)) < len(places):
            raise ValueError("a host is named twice")
        if len({url.scheme for url in each}) > 1:
            raise ValueError("all hosts must be of amqp:// or all of amqps://")
        if len({url.path or "/" for url in each}) > 1:
            raise ValueError("all hosts must be of one virtual host")
    return broker_url


def has_room_for_a_job(max_bytes: int, info: ValidationInfo) -> int:
    """Refuse a bound above which a job's dead letter could not be replayed."""
    payload_bytes = info.data.get("payload_max_bytes")
    if payload_bytes is not None and max_bytes < payload_bytes + MESSAGE_SLACK_BYTES:
        text = f"must be at least PAYLOAD_MAX_BYTES={payload_bytes} and {MESSAGE_SLACK_BYTES} more"
        raise ValueError(text)
    return max_bytes


def is_free(prefix: str) -> str:
    """Refuse what RabbitMQ's own names, or taskyard's, begin with."""
    for theirs in ("amq.", "taskyard."):
        if theirs.startswith(prefix) or prefix.startswith(theirs):
            raise ValueError(f"queues that begin with {theirs!r} are not for this")
    return prefix


def verifies(url: str) -> str:
    """Refuse what would turn verification off behind the back of the TLS settings."""
    queries = (urlsplit(each).query for each in broker_hosts.urls(url))
    names = {name for query in queries for name in parse_qs(query, keep_blank_values=True)}
    if found := sorted(name for name in names if name.startswith("ssl_")):
        raise ValueError(
            f"{', '.join(found)} in the URL: set TLS_CA_FILE, TLS_CERT_FILE and TLS_KEY_FILE; "
            "servers are always verified"
        )
    return url


def is_used(path: str, info: ValidationInfo) -> str:
    """Refuse a file of TLS where no URL asks for TLS, or that holds no CAs where it should."""
    urls = [info.data.get("broker_url", "amqps:"), info.data.get("result_backend", "rediss:")]
    if path and not any(url.startswith(("amqps:", "rediss:")) for url in urls):
        raise ValueError("neither BROKER_URL (amqps://) nor RESULT_BACKEND (rediss://) uses TLS")
    if path and info.field_name == "tls_ca_file":
        check_ca(path)
    return path


def fits_the_certificate(path: str, info: ValidationInfo) -> str:
    """Refuse a key that is not that of TLS_CERT_FILE."""
    cert_file = info.data.get("tls_cert_file")
    if cert_file:
        check_client(cert_file, path)
    elif path and cert_file is not None:
        raise ValueError("is the key of a certificate: set TLS_CERT_FILE too")
    return path


def split(value: object) -> object:
    """Return the parts of a text, which are separated by commas; anything else as it is."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def are_host_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return them in the form in which a request's host is compared, and refuse what never equals one."""
    found = tuple(name.lower().removeprefix("[").removesuffix("]") for name in names)
    for given, name in zip(names, found, strict=True):
        if not (_is_address(name) or re.fullmatch(r"[^:/\[\]\s]+", name)):
            raise ValueError(f"{given!r}: must be a name or an address, without scheme and port")
    return found


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def by_queue(value: str, info: ValidationInfo) -> str:
    """Refuse what is no number for all queues, with some by name."""
    limits = per_queue.parse(value)
    if info.field_name == "dead_letter_max" and limits.smallest < 1:
        raise ValueError("must be 1 or more")
    one_bytes = info.data.get("dead_letter_max_bytes", 0)
    if info.field_name == "dead_letter_queue_bytes" and limits.smallest < one_bytes:
        raise ValueError(f"must be at least DEAD_LETTER_MAX_BYTES={one_bytes}")
    return value


def lower(value: object) -> object:
    """Return a text in lower case; anything else as it is."""
    return value.lower() if isinstance(value, str) else value


def not_below_the_shortest(value_s: float, info: ValidationInfo) -> float:
    """Refuse a longest wait before a retry that is shorter than the shortest."""
    shortest_s = info.data.get("retry_min_s", 0)
    if value_s < shortest_s:
        raise ValueError(f"must not be below RETRY_MIN_S={shortest_s:g}")
    return value_s


def well_within_the_lease(value_s: float, info: ValidationInfo) -> float:
    """Refuse heartbeats so seldom that a late one or two would cost a lease."""
    lease_s = info.data.get("lease_s", value_s * 3)
    if value_s > lease_s / 3:
        raise ValueError(f"must be at most a third of LEASE_S={lease_s:g}")
    return value_s
