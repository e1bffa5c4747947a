"""What settings have to meet beyond their types and bounds: forms of text, files, and other settings.

A check that concerns other settings too sees those that are declared above its own and are in order.
"""

import ipaddress
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from urllib.parse import parse_qs, urlsplit

import msgspec

from taskyard.message import MAX_SECONDS, MESSAGE_SLACK_BYTES
from taskyard.runtime import broker_hosts, per_queue
from taskyard.runtime.tls import check_ca, check_client

Above = Mapping[str, Any]

#: Words of the environment for true and false.
_BOOLS = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0"), False),
}
#: Numbers as people write them and JSON does not: `+5`, `05`, `1_000`, `.5`, `5.`.
_NUMBER = re.compile(r"[+-]?([0-9]+(_[0-9]+)*\.?[0-9]*|\.[0-9]+)")


def convert(value: object, kind: Any) -> Any:
    """Return a value as what `kind`, an `Annotated` type with bounds, says; texts are read as such.

    Raises:
        ValueError: If it is none; the text says what is accepted.
    """
    plain = kind.__origin__
    if isinstance(value, str):
        value = value.strip()
        if plain == tuple[str, ...]:
            value = tuple(part.strip() for part in value.split(",") if part.strip())
        elif plain is bool:
            value = _BOOLS.get(value.lower(), value)
        elif get_origin(plain) is Literal:
            value = value.lower()
        elif plain in (int, float) and _NUMBER.fullmatch(value):
            value = float(value) if "." in value else int(value)
    try:
        found = msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        raise ValueError(f"must be {type_text(kind)}") from None
    if isinstance(found, float) and not math.isfinite(found):
        raise ValueError(f"must be {type_text(kind)}")
    return found


def type_text(kind: Any) -> str:
    """Return in words what values of an `Annotated` type are accepted."""
    plain = kind.__origin__
    if get_origin(plain) is Literal:
        return f"one of {', '.join(get_args(plain))}"
    if plain is bool:
        return "true or false"
    if plain == tuple[str, ...]:
        return "names, separated by commas"
    limits = [each for each in kind.__metadata__ if isinstance(each, msgspec.Meta)]
    if plain is str:
        return "text, not empty" if any(each.min_length for each in limits) else "text"
    words = ["a whole number" if plain is int else "a number"]
    words += [f"{each.ge} or more" for each in limits if each.ge is not None]
    words += [f"above {each.gt}" for each in limits if each.gt is not None]
    # A hundred years are no limit to tell of.
    words += [f"at most {each.le}" for each in limits if each.le not in (None, MAX_SECONDS)]
    return ", ".join(words)


def content(path: str) -> str:
    """Return what is in the file that is named in place of a secret; no error shows any of it."""
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("holds no text") from None
    if not text:
        raise ValueError("is empty")
    return text


def is_amqp(url: str) -> str:
    """Refuse the URL of something else than RabbitMQ."""
    return _begins(url, "amqp://", "amqps://")


def is_redis(url: str) -> str:
    """Refuse the URL of something else than Redis."""
    return _begins(url, "redis://", "rediss://", "unix://")


def _begins(url: str, *schemes: str) -> str:
    if not url.startswith(schemes):
        raise ValueError(f"must be a URL that begins with {' or '.join(schemes)}")
    return url


def is_key(key: str) -> str:
    """Refuse a key that no request could bring, or that is soon guessed."""
    if not re.fullmatch(r"([A-Za-z0-9._~+/=-]{32,256})?", key):
        raise ValueError("must be 32 to 256 letters, digits or ._~+/=-")
    return key


def is_prefix(prefix: str) -> str:
    """Refuse what no queue's name begins with, or nearly all."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{1,99}", prefix):
        raise ValueError("must be 2 to 100 letters, digits or _.:- and begin with none of .:-")
    return prefix


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
    if any(re.search(r"\s", url.netloc.rpartition("@")[2]) for url in each):
        raise ValueError("a host has a space in it")
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


def has_room_for_a_job(max_bytes: int, above: Above) -> int:
    """Refuse a bound above which a job's dead letter could not be replayed."""
    payload_bytes = above.get("payload_max_bytes")
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


def is_used(path: str, above: Above) -> str:
    """Refuse a file of TLS where no URL asks for TLS."""
    urls = [above.get("broker_url", "amqps:"), above.get("result_backend", "rediss:")]
    if path and not any(url.startswith(("amqps:", "rediss:")) for url in urls):
        raise ValueError("neither BROKER_URL (amqps://) nor RESULT_BACKEND (rediss://) uses TLS")
    return path


def holds_cas(path: str) -> str:
    """Refuse a file that holds no certificates of CAs."""
    if path:
        check_ca(path)
    return path


def fits_the_certificate(path: str, above: Above) -> str:
    """Refuse a key that is not that of TLS_CERT_FILE."""
    cert_file = above.get("tls_cert_file")
    if cert_file:
        check_client(cert_file, path)
    elif path and cert_file is not None:
        raise ValueError("is the key of a certificate: set TLS_CERT_FILE too")
    return path


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


def by_queue(value: str) -> str:
    """Refuse what is no number for all queues, with some by name."""
    per_queue.parse(value)
    return value


def keeps_one(value: str) -> str:
    """Refuse to keep no dead letters at all."""
    if per_queue.parse(value).smallest < 1:
        raise ValueError("must be 1 or more")
    return value


def has_room_for_a_letter(value: str, above: Above) -> str:
    """Refuse a bound of a queue that one dead letter could pass."""
    one_bytes = above.get("dead_letter_max_bytes", 0)
    if per_queue.parse(value).smallest < one_bytes:
        raise ValueError(f"must be at least DEAD_LETTER_MAX_BYTES={one_bytes}")
    return value


def not_below_the_shortest(value_s: float, above: Above) -> float:
    """Refuse a longest wait before a retry that is shorter than the shortest."""
    shortest_s = above.get("retry_min_s", 0)
    if value_s < shortest_s:
        raise ValueError(f"must not be below RETRY_MIN_S={shortest_s:g}")
    return value_s


def well_within_the_lease(value_s: float, above: Above) -> float:
    """Refuse heartbeats so seldom that a late one or two would cost a lease."""
    lease_s = above.get("lease_s", value_s * 3)
    if value_s > lease_s / 3:
        raise ValueError(f"must be at most a third of LEASE_S={lease_s:g}")
    return value_s
