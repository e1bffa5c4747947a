"""Whether a request without a key can be taken for one of this machine's own.

Loopback alone does not make it so: a proxy on this machine forwards those of others, and a web page that
somebody here looks at can send requests too, by a name that resolves to this machine (DNS rebinding) or
blindly across origins.
"""

import ipaddress
import re
from collections.abc import Collection

from flask import Request

from services.api.refusals import NotLocal

ANY = "*"
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(?::[0-9]{1,5})?", re.IGNORECASE)
#: What proxies add.
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_HOW = "; make a key with `taskyard keys create`, or see docs/keys.md"


def is_loopback(host: str) -> bool:
    """Return whether a name or address is one of this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check(request: Request, hosts: Collection[str]) -> None:
    """Let pass what can be from here.

    Args:
        request: One without a key.
        hosts: Names that it may call this API by, besides those of loopback; `*`: whatever it calls.

    Raises:
        NotLocal: If it came through a proxy, calls this machine by a strange name, or is a web page's.
    """
    if ANY in hosts:
        return
    for name in _FORWARDED:
        if name in request.headers:
            raise NotLocal(f"without a key no request is taken through a proxy ({name}){_HOW}")
    host = request.environ.get("HTTP_HOST")
    if host is not None and not _is_known(host, hosts):
        text = f"without a key the API is not called by the name {host[:100]!r}"
        raise NotLocal(f"{text}, unless API_ANONYMOUS_HOSTS has it{_HOW}")
    if request.method not in _SAFE and _is_foreign_page(request, host):
        raise NotLocal(f"without a key no request of another web page is taken{_HOW}")


def _is_known(host: str, hosts: Collection[str]) -> bool:
    match = _HOST.fullmatch(host)
    name = match[1].strip("[]").lower() if match else ""
    return is_loopback(name) or name in hosts


def _is_foreign_page(request: Request, host: str | None) -> bool:
    """Return whether a browser says that a page of another origin sends this."""
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != host:
        return True
    return request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
