"""What keeps web pages away from what listens here: the hosts it is called by, and what answers forbid."""

import ipaddress
import re
from collections.abc import Collection, Mapping

#: Any host will do.
ANY = "*"
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(?::[0-9]{1,5})?", re.IGNORECASE)
#: Nothing is loaded, run, framed or sent by what an answer shows.
POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
#: What every answer tells browsers, refusals included: to run, keep, frame and share nothing of it.
SECURITY_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def is_loopback(host: str) -> bool:
    """Return whether a name or address is one of this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_own_host(given: str, names: Collection[str], *, address: str = "") -> bool:
    """Return whether a request calls us by a name that is ours.

    A web page can have a name of its own resolve to this machine (DNS rebinding), but not an address.

    Args:
        given: The `Host` of the request.
        names: Those that are ours besides those of loopback; `*`: any.
        address: Our own address that the request came to, which is ours, too; empty: it is not.
    """
    match = _HOST.fullmatch(given)
    name = match[1].strip("[]").lower() if match else ""
    return ANY in names or is_loopback(name) or name in names or _is_same(name, address)


def _is_same(name: str, address: str) -> bool:
    try:
        ours = ipaddress.ip_address(address.partition("%")[0])
        return ipaddress.ip_address(name) in (ours, getattr(ours, "ipv4_mapped", None))
    except ValueError:
        return False
